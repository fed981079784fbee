"""A built wheel works where there is no repository, no Snakemake and no DVC."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole
ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
sys.modules.update(dict.fromkeys(("snakemake", "dvc"), None))
import numpy as np
import sightlines as sl
assert sl.__file__.startswith({site!r}), sl.__file__
pixels = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
images = sl.images(pixels, minibatch=12, labels=np.arange(60) % 2)
vit = sl.load("vit_tiny_patch16_224", weights="random", size_px=32)
similarity = sl.cka(sl.grams(vit, images))
assert similarity.values.shape == (75, 75)
assert len(sl.attention_distance(vit, images)) == 36
assert len(sl.probe(vit, images, draws=1))
sl.plot.cka_map(similarity).figure.savefig("map.png")
from sightlines.report.explore import explorer
assert len(explorer.scripts()) == 3
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the package as a wheel installs it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    uv = [sys.executable, "-m", "uv", "--quiet", "--no-cache"]
    build = ["build", "--wheel", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*uv, *build, "--out-dir", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site, program, folder):
    environment = {**os.environ, "PYTHONPATH": str(site), "MPLBACKEND": "agg"}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_the_wheel_measures_without_the_pipeline(site, tmp_path):
    done = run(site, PROGRAM.format(site=str(site)), tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "map.png").stat().st_size > 5000


def test_the_wheel_is_typed_and_has_its_data(site):
    own = site / "sightlines"
    assert (own / "py.typed").is_file() and (own / "claims" / "seed_spread.csv").is_file()
    data = [p for p in (ROOT / "src" / "sightlines").rglob("*") if p.is_file()]
    lacking = [
        str(p.relative_to(ROOT / "src"))
        for p in data
        if "__pycache__" not in p.parts and not (site / p.relative_to(ROOT / "src")).exists()
    ]
    assert lacking == []


def test_the_command_says_what_is_there(site, tmp_path):
    program = "import sightlines.cli as c; c.main(['doctor'])"
    done = run(site, program, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "torch" in done.stdout and "remotes" in done.stdout and str(tmp_path) not in done.stdout
    program = "import sightlines.cli as c; c.main(['run', 'mine.yaml'])"
    refused = run(site, program, tmp_path)
    assert refused.returncode == 1 and "clone of the repository" in refused.stderr
