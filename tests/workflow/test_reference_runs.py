"""`make check-reference` of runs that computed otherwise: older instructions, two threads.

A reference is made of one run, and whole runs are held against it, which torch's oldest kernels or
two threads a job made: sums come out in another order there, as on another processor.
"""

import csv
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.torch import save_file

from .conftest import copy_project, ok, tool
from .test_pretrained import CNN, CONFIG, VIT, WNIDS, weights

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@example.org")
OTHERWISE = {"older kernels": {"ATEN_CPU_CAPABILITY": "default"}, "two threads": {}}
TRAINED, IMPORTED = "smoke", "public"


def run(folder, name, **environment):
    """A whole run, as a clone's user makes it."""
    words = ("--configfile", f"workflow/config/{name}.yaml", "--cores", "2")
    ok(
        tool(
            folder, "snakemake", *words, SIGHTLINES_DATA=str(folder / "photographs"), **environment
        )
    )


def reference(folder, name, *words):
    command = ("python", "-m", "sightlines.sharing.reference", name, *words)
    return tool(folder, *command, SIGHTLINES_DATA=str(folder / "photographs"))


def add_imported(folder):
    """Photographs, two files of weights, and a config of these networks alone."""
    data, rng = folder / "photographs", np.random.default_rng(0)
    for wnid in WNIDS:
        (data / "photos" / wnid).mkdir(parents=True)
        for number in range(55):
            coarse = rng.integers(0, 255, (6, 7, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize((110, 90), Image.Resampling.BICUBIC)
            image.save(data / "photos" / wnid / f"{number}.png")
    (data / "weights").mkdir()
    models = {"vit": VIT, "cnn": CNN | {"weights": "weights/cnn.safetensors"}}
    for model, size_px in zip(models.values(), (64, 96), strict=True):
        save_file(weights(model, size_px, 1), data / model["weights"])
    runs = [{"models": [*models], "fractions": ["f100", "f000"], "seeds": ["s0"]}]
    config = CONFIG | {"models": models, "runs": runs}
    (folder / f"workflow/config/{IMPORTED}.yaml").write_text(yaml.safe_dump(config))


@pytest.fixture(scope="module")
def referred(smoke, tmp_path_factory):
    """A repository with both experiments' references, and without their results."""
    folder = tmp_path_factory.mktemp("referred") / "checkout"
    copy_project(smoke, folder, left_out=(".git", ".venv", ".cache"))
    (folder / ".gitignore").write_text((folder / ".gitignore").read_text() + "/photographs/\n")
    add_imported(folder)
    ok(tool(folder, "git", "init", "--quiet"))
    ok(tool(folder, "git", "add", "--all"))
    ok(tool(folder, "git", *IDENTITY, "commit", "--quiet", "--message", "All"))
    run(folder, IMPORTED)
    for name in (TRAINED, IMPORTED):
        ok(reference(folder, name, "--write"))
        assert "0 differ" in ok(reference(folder, name))
        shutil.rmtree(folder / "results" / name)
    return folder


@pytest.mark.parametrize("how", OTHERWISE)
@pytest.mark.parametrize("name", [TRAINED, IMPORTED])
def test_a_run_that_computed_otherwise_agrees(name, how, referred, tmp_path):
    folder = tmp_path / "checkout"
    shutil.copytree(referred, folder, symlinks=True)
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    path = folder / f"workflow/config/{name}.yaml"
    if how == "two threads":
        config = yaml.safe_load(path.read_text())
        config["compute"] = config.get("compute", {}) | {"threads": 2}
        path.write_text(yaml.safe_dump(config))
    run(folder, name, **OTHERWISE[how])
    said = ok(reference(folder, name))
    print(f"{name}, {how}: {said.splitlines()[-1]}")
    assert "0 differ" in said and "in this run alone" not in said
    if how == "older kernels":  # it did compute otherwise
        table = "attention_distance.csv"
        then = (referred / "results" / "reference" / name / table).read_bytes()
        assert (folder / "results" / name / "tables" / table).read_bytes() != then
    claims = folder / "results" / name / "tables" / "claim_cases.csv"
    _move_one(claims)
    done = reference(folder, name)
    assert done.returncode and "1 differ" in done.stdout


def _move_one(table):
    """Write a value that no spread and no rounding explains."""
    with table.open(newline="") as file:
        rows = [*csv.DictReader(file)]
    row = next(r for r in rows if r["value"] and r["low"] and r["high"])
    row["value"] = str(float(row["value"]) + 100 + 10 * (float(row["high"]) - float(row["low"])))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
