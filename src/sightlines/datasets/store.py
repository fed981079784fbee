"""What lies in a prepared dataset's folder: `dataset.json` and the files that it names.

Arrays (`shapes`, `cifar10`, `cifar100`): `{train,test}_images.npy` uint8 [images, h, w, 3] and
`{train,test}_labels.npy` int64 [images]. Photographs (`imagefolder`), also those in shards
(`webdataset`, `parquet`, `lmdb`): `manifest.parquet`, one row an image. `dataset.json` is written
last and holds the SHA-256 of every other file.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from sightlines.core.errors import ConfigError, ResultError
from sightlines.core.files import TensorReader, read_json, read_npy, read_table, sha256, write_json
from sightlines.plan.networks import per_cent

SPLITS = ("train", "test")
UNLABELLED = "-unlabelled"
"""Ends the identity of images whose classes do not count: nothing that is asked for needs them."""
_KEYS = ("kind", "storage", "classes", "size_px", "mean", "std", "counts", "files")


def name_variant(kind: str, settings: Mapping[str, Any]) -> str:
    """Folder name below `data/`: the kind and a digest of the settings that make the images."""
    own = {key: value for key, value in settings.items() if key != "kind"}
    digest = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()
    return f"{kind}-{digest[:8]}"


def check_counts(kind: str, settings: Mapping[str, Any], classes: int) -> None:
    """Check that a generated dataset has an image of every class in every split.

    Raises:
        ConfigError: fewer images than classes.
    """
    for key in (f"n_{split}" for split in SPLITS):
        if settings[key] < classes:
            raise ConfigError(
                f"dataset.{key} is {settings[key]}, but {kind} has {classes} classes: "
                f"raise it to at least {classes}"
            )


def write_dataset(out: Path, names: Sequence[str], facts: Mapping[str, Any]) -> None:
    """Write `dataset.json`, the last file of a dataset: facts, and the hashes of `names`."""
    hashes = {name: sha256(out / name) for name in names}
    write_json(out / "dataset.json", {**facts, "files": hashes})


def read_dataset(path: Path) -> dict[str, Any]:
    """Read `dataset.json`.

    Raises:
        ResultError: missing, damaged, or without a key that it must have.
    """
    dataset = read_json(path)
    missing = [key for key in _KEYS if not isinstance(dataset, dict) or key not in dataset]
    if missing:
        raise ResultError(
            f"{path} lacks {', '.join(missing)}: it is not the description of a dataset. "
            "Delete it and run snakemake again to rebuild it."
        )
    return dataset  # type: ignore[no-any-return]


def checked_file(dataset_json: Path, dataset: Mapping[str, Any], name: str) -> Path:
    """Path of one of the dataset's files, after its hash was compared.

    Raises:
        ResultError: the file is missing or not the one that `dataset.json` names.
    """
    path = dataset_json.parent / name
    try:
        found = sha256(path)
    except OSError as error:
        raise ResultError(
            f"cannot read {path}: {error.strerror}. Delete {dataset_json} and run snakemake again."
        ) from error
    if found != dataset["files"].get(name):
        raise ResultError(
            f"{path} is not the file that {dataset_json} names (its SHA-256 is {found[:12]}…). "
            "Delete both and run snakemake again to rebuild them."
        )
    return path


def open_splits(path: Path, dataset_json: Path) -> TensorReader:
    """Open `splits.safetensors`, or `reference` or `probes`, and check that it is of this dataset.

    Raises:
        ResultError: it is missing or damaged, or divides another dataset.
    """
    splits = TensorReader(path)
    meta = splits.meta if isinstance(splits.meta, dict) else {}
    if meta.get("dataset_sha256") != sha256(dataset_json):
        raise ResultError(
            f"{path} divides another dataset than {dataset_json}: delete it and run snakemake again"
        )
    return splits


def fraction_images(splits: TensorReader, fraction: str) -> Int64[np.ndarray, " images"]:
    """Sorted indices of the training images of a fraction such as ``f010``.

    Args:
        splits: From `open_splits`, of `splits.safetensors`.
        fraction: Its name; ``f000`` (untrained) has all images, to be evaluated on.
    """
    share = per_cent(fraction) or 100
    return np.array(splits["train"])[np.asarray(splits["train_from_per_cent"]) <= share]


def read_manifest(dataset_json: Path, dataset: Mapping[str, Any], split: str) -> Any:
    """Rows of one split of `manifest.parquet`, in order, with a fresh index."""
    table = read_table(checked_file(dataset_json, dataset, "manifest.parquet"))
    return table[table["split"] == split].reset_index(drop=True)


def read_labels(
    dataset_json: Path, dataset: Mapping[str, Any], split: str
) -> Int64[np.ndarray, " images"]:
    """Class of every image of a split; 0 where there are no classes.

    Raises:
        ResultError: a file is missing or damaged, or does not have the number of labels promised.
    """
    if dataset["storage"] != "arrays":
        labels = read_manifest(dataset_json, dataset, split)["label"].to_numpy(np.int64)
    else:
        labels = np.array(read_npy(checked_file(dataset_json, dataset, f"{split}_labels.npy")))
    classes = max(len(dataset["classes"]), 1)
    in_range = labels.size == 0 or (labels.min() >= 0 and labels.max() < classes)
    if len(labels) != dataset["counts"][split] or not in_range:
        raise ResultError(
            f"{dataset_json.parent}: the labels of {split} do not fit dataset.json "
            f"({len(labels)} labels). Delete the folder and run snakemake again."
        )
    return labels.astype(np.int64)  # type: ignore[no-any-return]


def channel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of [0, 1] pixels, from exact integer sums."""
    levels = np.arange(256)
    mean, std = [], []
    for channel in range(3):
        counts = np.bincount(images[..., channel].ravel(), minlength=256)
        total, first = int(counts.sum()), int((counts * levels).sum())
        second = int((counts * levels**2).sum())
        mean.append(first / (total * 255))
        std.append(math.sqrt(second * total - first * first) / (total * 255))
    return mean, std
