"""docs/networks.md has the table that `python -m sightlines.models --all` prints."""

from pathlib import Path

import pytest

from sightlines.models.__main__ import members, table
from sightlines.models.timm_names import entry_points

DOCS = Path(__file__).parents[2] / "docs" / "networks.md"


def rows(text):
    return [line for line in text.splitlines() if line.startswith("| `")]


def in_docs():
    text = DOCS.read_text()
    return text[text.index("<!-- begin: timm -->") : text.index("<!-- end: timm -->")]


def test_the_table_has_a_row_for_each_file_of_timm():
    named = [row.split("`")[1] for row in rows(in_docs())]
    assert named == sorted({*entry_points().values()}) and len(named) == 98
    assert [row.split("`")[3] for row in rows(in_docs())] == [*members().values()]


@pytest.mark.slow
def test_the_table_says_what_is_found():
    assert rows(table(members())) == rows(in_docs())
