"""Lists of output names, from somebody else: text or JSON in their usual forms, or refused."""

import json

import pytest

from sightlines.core.errors import WeightsError
from sightlines.training.class_file import read_class_file, require_length

NAMES = ["cat", "dog", "ape"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "cat\ndog\nape"),
        ("a.txt", "\ufeffcat\r\n dog\r\nape\r\n\r\n"),
        ("a.json", json.dumps(NAMES)),
        ("a.json", json.dumps({"id2label": {"0": "cat", "2": "ape", "1": "dog"}, "a": 1})),
        ("a.json", json.dumps({"ape": 2, "cat": 0, "dog": 1})),
        ("a.json", json.dumps({"label_names": NAMES})),
    ],
)
def test_usual_forms(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_class_file(tmp_path / name) == NAMES


def test_more_than_nine_numbers_are_numbers(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({str(i): f"n{i}" for i in range(12)}))
    assert read_class_file(tmp_path / "a.json")[-2:] == ["n10", "n11"]


def test_one_name_in_two_spellings_of_unicode_is_one(tmp_path):
    (tmp_path / "a.txt").write_text("caf\u0065\u0301\nbar", encoding="utf-8")
    assert read_class_file(tmp_path / "a.txt") == ["café", "bar"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"cat\ndog\ncat"),
        ("a.txt", b"cat\n\ndog"),
        ("a.txt", b""),
        ("a.txt", b"cat\x00\ndog"),
        ("a.txt", b"\xff\xfe"),
        ("a.json", b"{"),
        ("a.json", b"[1, 2]"),
        ("a.json", b'{"cat": 0, "dog": 2}'),
        ("a.json", b'{"cat": true, "dog": false}'),
        ("a.json", b'{"id2label": {"0": 1}}'),
        ("a.json", b"[" * 100_000),
        ("none.txt", None),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{name}.*class_file"):
        read_class_file(tmp_path / name)


def test_each_output_has_a_name(tmp_path):
    require_length(tmp_path / "a.txt", NAMES, 3)
    with pytest.raises(WeightsError, match=r"a\.txt names 3 .* 5 outputs.*set `outputs`"):
        require_length(tmp_path / "a.txt", NAMES, 5)
