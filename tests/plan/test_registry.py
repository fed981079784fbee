"""Members of the folders of files that make up sightlines."""

import importlib

import pytest

from sightlines.plan import registry


@pytest.mark.parametrize("folder", registry.MARKS)
def test_each_file_with_the_declaration_is_a_member_and_no_other(folder):
    files = {path.stem for path in (registry.PACKAGE / folder).glob("*.py")}
    members = set(registry.members(folder))
    assert {name for name in files if registry.has(folder, name)} == members < files


@pytest.mark.parametrize(
    "name", ["", "no_such", "../models/vit", "vit.py", "__init__", "reading", "vit\n"]
)
def test_what_is_no_member_is_not_loaded(name):
    assert not registry.has("models", name)
    with pytest.raises(KeyError, match=r"no models named .*'resnet', .*'vit'"):
        registry.load("models", name)


def test_a_job_that_loads_one_member_reads_no_other(monkeypatch):
    registry.declarations.cache_clear()
    registry.members.cache_clear()
    monkeypatch.setattr(registry, "members", lambda folder: pytest.fail(f"reads all {folder}"))
    assert registry.load("measures", "cka") is importlib.import_module("sightlines.measures.cka")
    assert registry.declarations.cache_info().currsize == 1
