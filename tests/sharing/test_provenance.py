import json

import pytest

from sightlines.core.files import write_json
from sightlines.plan.code_digest import CACHE
from sightlines.sharing.provenance import provenance_path, read_codes, write_provenance
from tests.sharing.test_adopt import DATA, MODEL, make

CODE = "0123456789abcdef"
PARTS = {"sightlines.a:f": "12345678", "sightlines.a:": "0a0b0c0d", "sightlines.b:g": "12345678"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two jobs with one code, whose definitions this folder knows."""
    monkeypatch.chdir(tmp_path)
    make(DATA, [], "images")
    make(MODEL, [DATA], "weights")
    write_json(CACHE / f"{CODE}.json", {"roots": ["sightlines.a:f"], "parts": PARTS})
    write_provenance("mine")
    return tmp_path


def rewrite(change):
    path = provenance_path("mine")
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


def test_what_code_was_made_of_is_read_as_it_was_written(project):
    assert read_codes("mine") == {CODE: PARTS}
    (project / CACHE / f"{CODE}.json").unlink()
    write_provenance("mine")
    assert read_codes("mine") == {CODE: PARTS}


def test_modules_that_an_older_version_wrote_are_read(project):
    older = {CODE: {"sightlines.a": "0" * 12}}
    rewrite(lambda found: found.update(codes=older))
    rewrite(lambda found: found.pop("code_parts"))
    assert read_codes("mine") == older


@pytest.mark.parametrize("numbers", ["0 99", "-1", "x", "1.5", "9" * 5000, "²"])
def test_damaged_numbers_are_no_parts(project, numbers):
    rewrite(lambda found: found["codes"].update({CODE: numbers}))
    assert read_codes("mine") == {CODE: {}}


@pytest.mark.parametrize("parts", [3, None, {}, [1, None, []]])
def test_a_damaged_list_of_parts_does_not_stop_a_run(project, parts):
    rewrite(lambda found: found.update(code_parts=parts))
    assert all(isinstance(name, str) for known in read_codes("mine").values() for name in known)
