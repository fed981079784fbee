import math

import pytest

from sightlines.core.csv_rows import finite, number, read_rows
from sightlines.core.errors import ResultError

TABLE = 'claim,value,why\nC1,0.5,"one, two"\nC2,,\n'


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_and_their_numbers(tmp_path):
    one, two = read_rows(written(tmp_path / "a.csv", TABLE), "claim", "value")
    assert one == {"claim": "C1", "value": "0.5", "why": "one, two"}
    assert number(one, "value") == 0.5
    assert all(math.isnan(number(*what)) for what in ((two, "value"), (one, "why"), (one, "no")))
    assert finite(one, "value", tmp_path) == 0.5
    with pytest.raises(ResultError, match="'one, two' where a number should be"):
        finite(one, "why", tmp_path)
    with pytest.raises(ResultError, match="'inf' where"):
        finite({"value": "inf"}, "value", tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("claim\nC1\n", "lacks one of the columns claim, value"),
        ("", "lacks one of the columns"),
        ("claim,value\nC1\n", "cut short"),
        ("claim,value\nC1,1,2\n", "too long"),
        ("claim,value\nC1,\udc80\n", "cannot read"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path, text, said):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ResultError, match=said):
        read_rows(path, "claim", "value")


def test_a_missing_table_is_told_without_a_number(tmp_path):
    with pytest.raises(ResultError, match=r"a\.csv: No such file or directory: run"):
        read_rows(tmp_path / "a.csv")
