"""A tiny dataset, tiny networks, the training jobs on them, and scores of their predictions."""

import json
import logging
from pathlib import Path

import numpy as np

from sightlines.core.devices import prepare
from sightlines.core.files import (
    read_json,
    sha256,
    write_json,
    write_npy,
    write_tensor_file,
    write_tensors,
)
from sightlines.datasets.split import describe
from sightlines.dumps import predictions
from sightlines.dumps.network import Shown, ShownImages
from sightlines.dumps.passes import alone
from sightlines.dumps.predictions_reading import PredictionsDump
from sightlines.jobs.command import Job
from sightlines.measures import accuracy
from sightlines.plan.networks import Network
from tests.rounding import bound

RECIPE = {
    "steps": 23,
    "budget": "equal_steps",
    "batch_size": 13,
    "optimizer": "adamw",
    "learning_rate": 0.003,
    "momentum": 0.9,
    "second_moment": 0.999,
    "warmup_steps": 3,
    "schedule": "cosine",
    "weight_decay": 0.05,
    "clip_norm": 1.0,
    "label_smoothing": 0.1,
    "ema_decay": 0.9,
    "precision": "fp32",
    "compile": False,
    "crop": "pad",
    "crop_padding_px": 2,
    "crop_min_area": 0.35,
    "flip": True,
    "randaugment_ops": 1,
    "randaugment_magnitude": 9,
    "randaugment_groups": 3,
    "mixup_alpha": 0.3,
    "cutmix_alpha": 1.0,
    "mix_probability": 0.5,
    "shared_init": False,
    "processes": 1,
    "evaluate_every_steps": 7,
}
VIT = {
    "family": "vit",
    "patch_px": 4,
    "width": 12,
    "depth": 2,
    "heads": 3,
    "mlp_ratio": 2,
    "pool": "cls",
    "drop_path": 0.1,
    "dropout": 0.1,
    "qkv_bias": True,
}
RESNET = {
    "family": "resnet",
    "units": [1, 1],
    "channels": [32, 64],
    "stem": "small",
    "stem_channels": 16,
    "groups": 4,
    "drop_path": 0,
}
PUBLIC = {
    "family": "timm",
    "name": "mobilenetv2_035",
    "weights": "random",
    "revision": "main",
    "arguments": {"output_stride": 2},
    "layers": [],
    "acts_as": "auto",
}
"""Of timm, with BatchNorm, trained from the start."""
COMPUTE = {
    "device": "cpu",
    "threads": 1,
    "workers": 0,
    "checkpoint_every_s": 1000.0,
    "batch_size": 17,
}
CLASSES, SIZE_PX, TRAIN, TEST = 5, 8, 101, 53


def write_dataset(folder: Path, classes=CLASSES, size_px=SIZE_PX, seed=11) -> Path:
    """A dataset that can be learnt: the mean colour of an image tells its class."""
    draw = np.random.default_rng(seed)
    hashes = {}
    for split, count in (("train", TRAIN), ("test", TEST)):
        labels = draw.integers(classes, size=count)
        images = draw.integers(0, 120, size=(count, size_px, size_px, 3))
        images = (images + 27 * labels[:, None, None, None]).astype(np.uint8)
        for name, array in (("images", images), ("labels", labels.astype(np.int64))):
            path = folder / f"{split}_{name}.npy"
            write_npy(path, array)
            hashes[path.name] = sha256(path)
    facts = {
        "kind": "shapes",
        "storage": "arrays",
        "classes": [f"class{i}" for i in range(classes)],
        "size_px": size_px,
        "mean": [0.4, 0.45, 0.5],
        "std": [0.2, 0.21, 0.22],
        "counts": {"train": TRAIN, "test": TEST},
        "files": hashes,
    }
    write_json(folder / "dataset.json", facts)
    return folder / "dataset.json"


def write_splits(path: Path, dataset: Path) -> Path:
    order = np.random.default_rng(5).permutation(TRAIN)
    train = np.sort(order[19:])
    tensors = {
        "train": train,
        "validation": np.sort(order[:19]),
        "test": np.arange(TEST),
        "train_from_per_cent": np.where(np.isin(train, order[19:27]), 10, 100),
    }
    classes = json.loads(dataset.read_text())["classes"]
    write_tensors(path, tensors, describe(tensors, sha256(dataset), classes))
    return path


def job_config(model=VIT, network=("vit_small", "f100", "s0"), compute=None, **recipe):
    return {
        "experiment": "tiny",
        "seed": 3,
        "network": list(network),
        "model": model | {"train": RECIPE | recipe},
        "compute": COMPUTE | (compute or {}),
    }


LOSS = {"terms": 48 * 7 * 2, "dtype": np.float32}
"""How a loss rounds: sums of up to 48 terms, 7 of them in each of two blocks, by minibatches."""
STILL_RATE = 1e-12
"""A learning rate whose steps are lost in the rounding of all weights but those that are 0."""
RESULTS = {
    "weights": "weights.safetensors",
    "history": "history.csv",
    "card": "card.json",
}


def make_job(folder: Path, out: str, config: dict) -> Job:
    """A training job whose results lie in `folder/out`."""
    return Job(
        name="train/tiny",
        config=json.loads(json.dumps(config)),
        inputs={
            "dataset": [folder / "data" / "dataset.json"],
            "splits": [folder / "splits.safetensors"],
        },
        outputs={name: [folder / out / file] for name, file in RESULTS.items()},
        source=folder,
        log=logging.getLogger("sightlines.tests"),
    )


def train(folder: Path, out: str, config: dict) -> Path:
    """Run a training job in this process and return the folder of its results."""
    from sightlines.training.train import main

    main(make_job(folder, out, config))
    return folder / out


def predicted(folder: Path, out: Path, splits="splits.safetensors", dataset="data"):
    """Predictions of the network in `out` on a dataset of `folder`, written beside its weights.

    Returns:
        Their reader.
    """
    card, dataset = out / "card.json", folder / dataset / "dataset.json"
    network = Network.parse(read_json(card)["network"])
    compute = prepare(COMPUTE)
    images = ShownImages.open(dataset, folder / splits, folder, compute, COMPUTE["batch_size"])
    shown = Shown.of(images, network, out / "weights.safetensors", card, compute)
    write_tensor_file(
        out / "predictions.safetensors", alone(shown, predictions.record(shown, seed=0))
    )
    return PredictionsDump(out / "predictions.safetensors")


def scores(folder: Path, out: Path, *where) -> dict:
    """Row of `accuracy.csv` of the network in `out`; `where`: see `predicted`."""
    return accuracy.row(predicted(folder, out, *where), read_json(out / "card.json"))


def result_bytes(folder: Path) -> dict[str, bytes]:
    return {file: (folder / file).read_bytes() for file in RESULTS.values()}


def assert_still(found, start):
    """Weights after one step of STILL_RATE: AdamW's first is the rate, and decay is less."""
    step = 2 * STILL_RATE + bound(np.abs(start).max(), terms=1, dtype=np.float32, c=1)
    assert np.abs(found - start).max() <= step
