"""A recorder is one file: rules, planning and the runner follow from what it declares."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sightlines.core.files import TensorReader
from tests.dumps import making_experiments as making

pytestmark = pytest.mark.whole  # a dry run, and a job in a process of its own

ROOT = Path(__file__).parents[2]
RECORDER = '''"""Mean norm of every layer."""

import numpy as np
import torch

from sightlines.core.files import TensorFile
from sightlines.dumps.network import Shown
from sightlines.models.layers import capture

KIND = "norms"
NETWORKS = "compared"
TRANSFER = ("tuned",)
SPLITS = "reference"
USES = ("seed",)
READER = "sightlines.dumps.reading:Dump"


def record(shown: Shown, seed: int) -> TensorFile:
    """Mean over a minibatch's images of the norm of each layer."""
    meta = shown.describe() | {"seed": seed}
    sizes = enumerate(meta["batch_sizes"])
    shapes = {f"norm.{i:03d}": ("F32", (len(shown.layers),)) for i, _ in sizes}

    def norms(images: torch.Tensor) -> dict[str, np.ndarray]:
        found = np.zeros(len(shown.layers))

        def keep(index: int, x: torch.Tensor) -> None:
            found[index] = x.flatten(1).norm(dim=1).mean()

        with torch.inference_mode(), capture(shown.model, shown.layers, keep):
            shown.model(images)
        return {"norm": found}

    return TensorFile(shapes, meta, shown.each_minibatch(norms))
'''
PLAN = """
from pathlib import Path
from sightlines.plan.experiment import Experiment
from sightlines.plan.networks import FULL, UNTRAINED
experiment = Experiment.open(Path("workflow/config/default.yaml"))
assert {n.fraction for n in experiment.dumped("norms")} == {FULL, UNTRAINED}
print(*(one.rule for one in experiment.recordings() if one.kind == "norms"))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the checkout with one more file."""
    folder = tmp_path_factory.mktemp("copy")
    kept = shutil.ignore_patterns("__pycache__")
    for name in ("src", "workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=kept)
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "src" / "sightlines" / "dumps" / "norms.py").write_text(RECORDER)
    return folder


def call(folder, program, *arguments):
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    command = [Path(sys.executable).with_name(program), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_has_its_networks_and_its_rules(copy):
    rules = call(copy, "python", "-c", PLAN).split()
    assert rules[0] == "dump_norms" and rules[1].startswith("dump_norms_tuned_on_")
    target = "results/smoke/dumps/norms/vit_small/f100/s0.safetensors"
    said = call(copy, "snakemake", "-n", target)
    assert "rule dump_norms:" in said and target in said


def test_its_dump_is_made(copy, tmp_path):
    dataset = making.make_dataset(tmp_path / "data")
    splits = making.make_reference(dataset, tmp_path / "reference.safetensors", [5, 4])
    making.make_network(tmp_path, making.VIT, dataset)
    path = tmp_path / "norms.safetensors"
    config = {"network": ["vit", "f000", "s0"], "compute": making.COMPUTE, "seed": 7}
    inputs = {"dataset": dataset, "splits": splits, "card": tmp_path / "card.json"}
    inputs |= {"weights": tmp_path / "weights.safetensors"}
    given = [word for name, value in inputs.items() for word in ("--input", name, value)]
    options = ["--config", json.dumps(config), *given, "--output", "dump", path]
    log = tmp_path / "logs" / "norms.log"
    call(copy, "python", "-m", "sightlines.run.dump", "norms", *options, "--log", log)
    found = TensorReader(path)
    assert found.names() == ["norm.000", "norm.001"] and found.meta["seed"] == 7
    assert found.meta["network"] == ["vit", "f000", "s0"] and found["norm.000"].all()
    record = json.loads((tmp_path / "records" / "norms.json").read_text())
    assert record["notes"]["device"] == "cpu" and path.as_posix() in record["outputs"]
