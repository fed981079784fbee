"""A dataset and a family of models are one file each: nothing else is edited."""

import json
import shutil

import pytest

from tests.workflow.conftest import ROOT, tool

DATASET = '''
"""Images that are dark or light, by their class."""

import numpy as np

from sightlines.core.files import make_folder, write_npy
from sightlines.datasets.store import name_variant, write_dataset

SETTINGS = {"n_images": {"description": "Images of a split.", "type": "integer", "minimum": 20}}
REQUIRED = ("n_images",)
FILES = (
    "dataset.json", "train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy"
)


def variant(settings):
    return name_variant("levels", settings)


def check(settings):
    return 16, 2


def counts(settings):
    return {"train": settings["n_images"], "test": settings["n_images"]}


def fingerprint(settings, source):
    return ""


def prepare(settings, source, out, log):
    make_folder(out)
    draw = np.random.default_rng(0)
    for split, count in counts(settings).items():
        labels = np.arange(count, dtype=np.int64) % 2
        images = draw.integers(0, 100, (count, 16, 16, 3)) + 100 * labels[:, None, None, None]
        write_npy(out / f"{split}_images.npy", images.astype(np.uint8))
        write_npy(out / f"{split}_labels.npy", labels)
    facts = {
        "kind": "levels", "storage": "arrays", "classes": ["dark", "light"], "size_px": 16,
        "mean": [0.4] * 3, "std": [0.2] * 3, "counts": counts(settings),
    }
    write_dataset(out, FILES[1:], facts)
'''

FAMILY = '''
"""Two convolutions, a mean over places and a linear layer."""

from sightlines.models.layers import Layer

SETTINGS = {"width": {"description": "Channels.", "type": "integer", "minimum": 1, "default": 8}}
BRANCHES = False


def check(settings, size_px):
    return size_px // 4, size_px // 4


def build(settings, size_px, classes):
    from torch import nn

    width = settings["width"]
    return nn.Sequential(
        nn.Conv2d(3, width, 4, 4),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, classes),
    )


def layers(model):
    return [Layer("stem.conv", "conv", -1, "0"), Layer("block00.conv", "conv", 0, "2")]
'''

CONFIG = """
dataset: {kind: levels, n_images: 120}
splits: {validation: 20, reference_batches: 4, reference_batch_size: 8,
         probe_train: 40, probe_held_out: 20, probe_test: 20}
models:
  tiny: {label: Tiny, family: two_convolutions}
runs:
  - {models: [tiny], fractions: [f000, f100], seeds: [s0]}
train: {steps: 6, batch_size: 16, warmup_steps: 2, evaluate_every_steps: 3, precision: fp32}
"""


@pytest.fixture
def checkout(tmp_path):
    """A copy of the code and the workflow, with the two files and a config that names them."""
    shutil.copytree(ROOT / "src" / "sightlines", tmp_path / "src" / "sightlines")
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    shutil.copy(ROOT / "Snakefile", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "src/sightlines/datasets/levels.py").write_text(DATASET.lstrip())
    (tmp_path / "src/sightlines/models/two_convolutions.py").write_text(FAMILY.lstrip())
    (tmp_path / "workflow/config/newcomers.yaml").write_text(CONFIG)
    return tmp_path


def run(checkout, *words):
    done = tool(checkout, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.workflow
def test_a_dataset_and_a_family_are_one_file_each(checkout):
    snakemake = "snakemake", "--configfile", "workflow/config/newcomers.yaml", "--cores", "1"
    every = run(checkout, *snakemake, "-n")
    assert "prepare_dataset" in every and "train_network" in every and "draw_fig01" in every
    network = "results/newcomers/models/tiny/f100/s0"
    gram = "results/newcomers/dumps/gram/tiny/f100/s0.safetensors"
    run(checkout, *snakemake, f"{network}/weights.safetensors", gram)
    card = json.loads((checkout / network / "card.json").read_text())
    assert card["family"] == "two_convolutions" and card["grid"] == [4, 4]
    assert (checkout / gram).stat().st_size > 0
    run(checkout, "python", "-m", "sightlines.manual")
    readme = (checkout / "workflow/config/README.md").read_text()
    assert "levels" in readme and "two_convolutions" in readme
