"""The README's commands work, and what it points to exists."""

import re
import shlex

import pytest

from sightlines.plan import registry
from tests.workflow.conftest import ROOT, SMOKE, snakemake

pytestmark = pytest.mark.workflow

README = (ROOT / "README.md").read_text()


def commands(text):
    """The indented lines that start with a command, without their comments."""
    lines = re.findall(
        r"^    ((?:make|snakemake|SIGHTLINES_DATA|python|source) ?[^\n]*)", text, re.M
    )
    return [line.split("  #")[0].strip() for line in lines]


def test_every_link_leads_somewhere():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "workflow/config/README.md"]
    pages += [ROOT / "results/README.md", ROOT / ".github/CONTRIBUTING.md"]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text()
    named = {c.split()[1] for c in commands(README) if c.startswith("make ")} | {"setup"}
    assert {"run", "test"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_snakemake_command_can_be_planned(tmp_path):
    seen = 0
    for command in commands(README):
        if command.startswith("snakemake"):
            words = shlex.split(command)[1:]
            done = snakemake(tmp_path, *words, *([] if "-n" in words else ["-n"]), "--quiet")
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
            seen += 1
    assert seen >= 5


@pytest.mark.thorough
def test_the_photographs_recipe_works(tmp_path):
    """Copy the template, set `folder`, point SIGHTLINES_DATA at it, as the README says."""
    from PIL import Image

    for name, colour in (("cat", (200, 90, 40)), ("dog", (40, 90, 200))):
        folder = tmp_path / "photos" / "mine" / name
        folder.mkdir(parents=True)
        for number in range(7):
            Image.new("RGB", (70 + number, 50), colour).save(folder / f"{number}.jpg")
    template = SMOKE.with_name("imagefolder.yaml").read_text()
    config = tmp_path / "mine.yaml"
    config.write_text(re.sub(r"folder: \w+", "folder: mine", template))
    here = tmp_path / "photos"
    done = snakemake(tmp_path, "--configfile", config, "-n", SIGHTLINES_DATA=str(here))
    assert done.returncode == 0, done.stdout + done.stderr
    (here / "mine/cat/0.jpg").write_bytes(b"no image")
    done = snakemake(
        tmp_path, "--configfile", config, "--until", "prepare_dataset", SIGHTLINES_DATA=str(here)
    )
    assert done.returncode != 0 and "cat/0.jpg" in done.stdout + done.stderr
    assert not list((tmp_path / "data").glob("*/dataset.json"))


def test_the_tree_of_the_readme_is_the_tree():
    tree = README.split("## What is where")[1].split("\n## ")[0]
    names = re.findall(r"^    ([\w./]+)  ", tree, re.M)
    assert {"Snakefile", "data.dvc", "results/"} <= set(names)
    assert [name for name in names if not (ROOT / name).exists()] == []
    own = re.findall(r"^      (\w+)/  ", tree, re.M)
    assert sorted(own) == sorted(p.parent.name for p in registry.PACKAGE.glob("*/__init__.py"))
    for folder in registry.MARKS:
        assert f"{folder}/" in README
