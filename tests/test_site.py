"""The documentation builds as a site, whole, and asks no other host for anything."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs import site_hooks
from mkdocs.exceptions import PluginError

import sightlines as sl

ROOT = Path(__file__).resolve().parents[1]
FETCHED = re.compile(
    r"""<(?:script|img|iframe)[^>]+src=["']?(?:https?:)?//[^ >]*"""
    r"""|<link[^>]+rel=["']?stylesheet[^>]+href=["']?(?:https?:)?//[^>]*"""
    r"""|<link[^>]+href=["']?(?:https?:)?//[^>]*stylesheet[^>]*"""
)


@pytest.mark.whole
def test_the_site_builds_without_a_broken_link_and_has_every_page(tmp_path):
    program = Path(sys.executable).with_name("mkdocs")
    done = subprocess.run(
        [program, "--quiet", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
    for path in (ROOT / "docs").rglob("*.md"):
        assert path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() in pages
    for page in site_hooks.PAGES.values():
        assert page.replace(".md", ".html") in pages
    api = (tmp_path / "api.html").read_text()
    for place in sl._PUBLIC.values():
        assert f'id="{place.replace(":", ".")}"' in api
    for page in pages:
        text = (tmp_path / page).read_text()
        assert FETCHED.findall(text) == [], page


def test_links_lead_to_pages_and_files_that_are_no_pages_are_named():
    readme = ROOT / "README.md"
    text = "[a](docs/claims.md#x) [keys](workflow/config/README.md)"
    assert site_hooks._linked(text, readme, "index.md") == "[a](claims.md#x) [keys](experiments.md)"
    own = ROOT / "docs" / "decisions" / "one_pass.md"
    said = site_hooks._linked("[up](../claims.md) [l](../../LICENSE)", own, "decisions/one_pass.md")
    assert said == "[up](../claims.md) l (`LICENSE`)"
    with pytest.raises(PluginError, match=r"nowhere\.md is not there"):
        site_hooks._linked("[a](nowhere.md)", readme, "index.md")
