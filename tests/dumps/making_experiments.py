"""Random images, chosen ones, and untrained networks on disk: what a recorder is shown."""

import functools
import logging
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from sightlines.core.devices import prepare
from sightlines.core.files import (
    TensorFile,
    TensorReader,
    sha256,
    write_json,
    write_npy,
    write_table,
    write_tensor_file,
    write_tensors,
)
from sightlines.datasets import split, store
from sightlines.dumps import passes
from sightlines.dumps.network import Shown, ShownImages
from sightlines.jobs.command import Job
from sightlines.models import building
from sightlines.plan import registry
from sightlines.plan.networks import Network
from sightlines.plan.registry import load

COMPUTE = {"device": "cpu", "threads": 1, "workers": 0, "batch_size": 7}
VIT = {
    "family": "vit",
    **{"patch_px": 4, "width": 12, "depth": 2, "heads": 3, "mlp_ratio": 2, "pool": "cls"},
    **{"drop_path": 0, "dropout": 0, "qkv_bias": True},
}
RESNET = {
    "family": "resnet",
    **{"units": [1, 1], "channels": [32, 32], "stem": "small", "stem_channels": 8},
    **{"groups": 4, "drop_path": 0},
}


CONFLICTS = 10
"""Images of a dataset whose outline and surface are of different classes."""


CONDITIONS = {
    "occlusion": {
        **{"cells": 2, "shares": [0.5], "mean_shares": [0.5], "shifted_shares": [0.5]},
        **{"other_cells": [4], "other_shares": [0.5], "salient_shares": [0.5], "parts": True},
        **{"shuffle_cells": [2], "depth": ["drop_black:0.5", "shuffle:2"]},
    },
    "lesion": {"shares": [0.5], "shuffled_shares": [0.5]},
    "cutout": {"shares": [0.4], "mean_shares": [0.4]},
    "corruption": {"names": ["fog", "shot_noise"], "severities": [5], "depth": ["fog:3"]},
    "frequency": {"frequencies": "rings", "norm": 0.0, "cells": 2, "depth": [1, 2]},
    "foreign": {},
    "conflict": {"depth": ["other_texture", "other_shape"]},
    "perturbation": {"budgets": [0.02], "steps": 3},
}
"""Settings of every family of conditions."""


SHAPES = {
    **{"kind": "shapes", "size_px": 8, "n_conflict": CONFLICTS, "surface": "bands", "seed": 1},
    **{"own_hue": True, "tilt_deg": 180, "surface_tilt_deg": 10, "distractors": 1},
    **{"smallest_object": 16, "largest_object": 24, "lighter": True, "ground_match": 0},
}
"""Settings by which conflicts are drawn of which one cue is changed."""


def settings_of(kind, sections):
    """What a kind's recorder is given: its USES out of `sections`, and its conditions."""
    declared = registry.declarations("dumps", kind)
    sections = {"dataset": SHAPES} | sections
    found = {key: sections[key] for key in declared.get("USES", ())}
    if "CONDITIONS" in declared:
        found["conditions"] = CONDITIONS[declared["CONDITIONS"]] | {"images": 20}
    return found


def make_dataset(folder, size_px=8, train=60, test=60, classes=3, seed=1):
    """Arrays of random bytes, and dataset.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _dataset(size_px, train, test, classes, seed).items():
        (folder / name).write_bytes(content)
    return folder / "dataset.json"


@functools.cache
def _dataset(*settings):
    """Its files by name: hundreds of tests have the same ones."""
    with tempfile.TemporaryDirectory() as folder:
        _fill(Path(folder), *settings)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _fill(folder, size_px, train, test, classes, seed):
    rng = np.random.Generator(np.random.Philox(seed))
    names = []
    for part, count in (("train", train), ("test", test)):
        images = rng.integers(0, 256, (count, size_px, size_px, 3), dtype=np.uint8)
        write_npy(folder / f"{part}_images.npy", images)
        write_npy(folder / f"{part}_labels.npy", np.arange(count) % classes)
        names += [f"{part}_images.npy", f"{part}_labels.npy"]
    own = np.random.Generator(np.random.Philox(seed + 1))
    conflicts = own.integers(0, 256, (CONFLICTS, size_px, size_px, 3), dtype=np.uint8)
    write_npy(folder / "conflict_images.npy", conflicts)
    names.append("conflict_images.npy")
    for subset in ("mixed_same", "mixed_rand"):
        write_npy(folder / f"{subset}_images.npy", conflicts)
        truth = pd.DataFrame({"label": np.arange(CONFLICTS) % classes})
        write_table(folder / f"{subset}_truth.parquet", truth)
        names += [f"{subset}_images.npy", f"{subset}_truth.parquet"]
    facts = {"kind": "random", "storage": "arrays", "size_px": size_px}
    facts |= {
        "classes": [f"c{i}" for i in range(classes)],
        "counts": {"train": train, "test": test},
    }
    store.write_dataset(folder, names, facts | {"mean": [0.5] * 3, "std": [0.25] * 3})


def make_reference(dataset, path, sizes):
    """Reference images in minibatches of these sizes."""
    rng = np.random.Generator(np.random.Philox(2))
    tests = store.read_dataset(dataset)["counts"]["test"]
    reference = rng.permutation(tests)[: sum(sizes)]
    tensors = {"reference": reference, "reference_bounds": np.cumsum([0, *sizes])}
    return _write(dataset, path, tensors)


def make_splits(dataset, path, validation=11, tenth=5):
    """Validation images, test images from the last to the first, and training images.

    So many of these (`tenth`) are those of f010.
    """
    counts = store.read_dataset(dataset)["counts"]
    order = np.random.Generator(np.random.Philox(5)).permutation(counts["train"])
    train = np.sort(order[validation:])
    few = order[validation : validation + tenth]
    tensors = {
        "train": train,
        "train_from_per_cent": np.where(np.isin(train, few), 10, 100),
        "validation": np.sort(order[:validation]),
        "test": np.arange(counts["test"])[::-1],
    }
    return _write(dataset, path, tensors)


def make_probes(dataset, path, sizes):
    """So many images for probes: training images, held-out ones, test images.

    They are the first of an order of twice as many.
    """
    rng = np.random.Generator(np.random.Philox(3))
    counts = store.read_dataset(dataset)["counts"]
    parts = (("probe_train", "train"), ("probe_held_out", "train"), ("probe_test", "test"))
    tensors = {}
    for (name, part), size in zip(parts, sizes, strict=True):
        order = rng.permutation(counts[part])[: 2 * size]
        tensors |= {name: order[:size], name.replace("probe", "order"): order}
    return _write(dataset, path, tensors)


def make_first_probes(dataset, folder, sizes, seed):
    """As many images for probes, chosen as the workflow does from `splits.safetensors`."""
    facts, splits = store.read_dataset(dataset), TensorReader(folder / "splits.safetensors")
    labels = {part: store.read_labels(dataset, facts, part) for part in ("train", "test")}
    keys = ("probe_train", "probe_held_out", "probe_test")
    among = (np.array(splits["train"]), np.array(splits["validation"]))
    tensors = split.choose_probes(labels, *among, dict(zip(keys, sizes, strict=True)), seed)
    return _write(dataset, folder / "probes.safetensors", tensors)


def make_conflicts(dataset, path):
    """What the dataset's images with a cue conflict show: outlines in turn, the next's surface."""
    classes = store.read_dataset(dataset)["classes"]
    shape = np.arange(CONFLICTS) % len(classes)
    tensors = {"shape.conflict": shape, "texture.conflict": (shape + 1) % len(classes)}
    meta = {"subsets": ["conflict"], "categories": classes, "folder": "", "cue_match": 0.5}
    write_tensors(path, tensors, meta | {"dataset_sha256": sha256(dataset)})
    return path


def _write(dataset, path, tensors):
    facts = store.read_dataset(dataset)
    tensors = {name: tensor.astype(np.int64) for name, tensor in tensors.items()}
    write_tensors(path, tensors, split.describe(tensors, sha256(dataset), facts["classes"]))
    return path


def make_network(folder, config, dataset, seed=3, change=None):
    """Weights and card of an untrained network; `change` may edit its weights."""
    facts = store.read_dataset(dataset)
    size_px, classes = facts["size_px"], facts["classes"]
    model = building.build(config, size_px, len(classes), seed)
    state = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    if change is not None:
        change(state)
    write_tensors(folder / "weights.safetensors", state, {})
    card = {key: facts[key] for key in ("classes", "size_px", "mean", "std")}
    card |= {"family": config["family"], "architecture": building.architecture(config)}
    card["grid"] = list(load("models", config["family"]).check(config, size_px))
    write_json(folder / "card.json", card)
    return model


def open_shown(folder, dataset, splits, network=("vit", "f000", "s0")):
    """The network of a folder, shown the images that `splits` names."""
    compute = prepare(COMPUTE)
    images = ShownImages.open(dataset, splits, folder, compute, COMPUTE["batch_size"])
    weights, card = folder / "weights.safetensors", folder / "card.json"
    return Shown.of(images, Network(*network), weights, card, compute)


def record(kind, folder, dataset, splits, path, /, **uses):
    """Write what a recorder records of the network of a folder."""
    shown = open_shown(folder, dataset, splits)
    write_tensor_file(path, content_of(shown, load("dumps", kind).record(shown, **uses)))


def content_of(shown, recorded):
    """The file of one recorder, whether or not it watches a network that others run."""
    return recorded if isinstance(recorded, TensorFile) else passes.alone(shown, recorded)


def make_job(kind, folder, dataset, splits, output, /, network=("vit", "f000", "s0"), **uses):
    """What the command line of a dump says."""
    inputs = {"dataset": dataset, "splits": splits}
    inputs |= {"weights": folder / "weights.safetensors", "card": folder / "card.json"}
    return Job(
        "dump",
        {"network": list(network), "compute": COMPUTE, **uses},
        {name: [path] for name, path in inputs.items()},
        {"dump": [output]},
        folder,
        logging.getLogger("sightlines"),
        member=kind,
    )
