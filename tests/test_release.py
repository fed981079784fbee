"""The version stands in pyproject.toml, and what else names it agrees."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
RELEASED = re.compile(r"^## (\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)$", re.MULTILINE)


def test_the_citation_is_of_the_version_and_of_its_day():
    version, day = RELEASED.findall((ROOT / "CHANGELOG.md").read_text())[0]
    assert CITATION["version"] == VERSION == version
    assert CITATION["date-released"] == day


def test_no_module_has_a_version_of_its_own():
    named = re.compile(rf"__version__ *=|[\"']{re.escape(VERSION)}[\"']")
    sources = (ROOT / "src" / "sightlines").rglob("*.py")
    assert not [path for path in sources if named.search(path.read_text())]


def test_former_names_are_known_until_a_release_to_come():
    from sightlines.plan.renamed_keys import LAST

    major, minor = map(int, VERSION.split(".")[:2])
    assert tuple(map(int, LAST.split("."))) > (major, minor)
