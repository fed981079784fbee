"""Command: divides an experiment's images, once, so that every network meets the same ones.

Validation images, nested data fractions (paper, Figure 12: 3, 10, 30, 100 %), the reference images
with their minibatch boundaries (appendix A: without replacement) and the probes' images; all
stratified, drawn from named seeds, and recorded with hashes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64

from sightlines import seeds
from sightlines.datasets.store import read_dataset, read_labels
from sightlines.errors import ConfigError
from sightlines.files import sha256, write_tensors
from sightlines.networks import per_cent
from sightlines.stage import Job, run

Labels = Int64[np.ndarray, " images"]
Indices = Int64[np.ndarray, " pool"]
Chosen = Int64[np.ndarray, " chosen"]


def choose_stratified(
    labels: Labels, among: Indices, count: int, rng: np.random.Generator, leave: int = 0
) -> Chosen:
    """Draw `count` of the images `among`, in which classes keep their shares.

    Class counts are the exact shares rounded by largest remainder.

    Args:
        labels: Class of every image of the split.
        among: Images to draw from, as indices into `labels`.
        count: Images to draw.
        rng: Decides which.
        leave: Images of each class that must stay.

    Returns:
        Indices into `labels`, sorted.

    Raises:
        ValueError: too few images.
    """
    shuffled = among[_shuffle(len(among), rng)]
    classes = labels[shuffled]
    sizes = np.bincount(classes)
    room = np.maximum(sizes - leave, 0)
    if count > room.sum():
        raise ValueError(f"{count} images wanted, {room.sum()} there")
    quota = np.minimum(sizes * count // max(len(among), 1), room)
    remainder = sizes * count - quota * len(among)
    while (short := count - quota.sum()) > 0:
        open_classes = np.flatnonzero(quota < room)
        order = open_classes[np.argsort(-remainder[open_classes], kind="stable")]
        quota[order[:short]] += 1
        remainder[order[:short]] -= len(among)
    rank = _rank_in_class(classes)
    return np.sort(shuffled[rank < quota[classes]])


def nest_fractions(
    labels: Labels, train: Indices, names: Sequence[str], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Nested stratified subsets: the first so many of each class, in one random order.

    Each class gives its share rounded to the nearest image, and at least one.

    Args:
        labels: Class of every training image of the dataset.
        train: Images that may be used, as indices into `labels`.
        names: Fractions such as ``f010``; ``f000`` (untrained) is left out.
        rng: Decides the order.

    Returns:
        Sorted indices into `labels` for each fraction.
    """
    shuffled = train[_shuffle(len(train), rng)]
    classes = labels[shuffled]
    rank, sizes = _rank_in_class(classes), np.bincount(classes)
    return {
        name: np.sort(shuffled[rank < np.maximum((sizes * per_cent(name) + 50) // 100, 1)[classes]])
        for name in names
        if per_cent(name)
    }


def divide(
    train_labels: Int64[np.ndarray, " train_images"],
    test_labels: Int64[np.ndarray, " test_images"],
    settings: Mapping[str, int],
    fractions: Sequence[str],
    seed: int,
) -> dict[str, np.ndarray]:
    """All index tensors of an experiment.

    Args:
        train_labels: Classes of the dataset's training images.
        test_labels: Classes of its test images.
        settings: The config's `splits`.
        fractions: Names such as ``f010``.
        seed: The experiment's root seed.

    Raises:
        ConfigError: more images wanted than there are, with the key to lower.
    """
    everything = np.arange(len(train_labels), dtype=np.int64)
    tests = np.arange(len(test_labels), dtype=np.int64)
    labelled = {"validation": train_labels, "reference": test_labels, "probe_test": test_labels}

    def draw(key: str, use: str, among: Indices, count: int, leave: int = 0) -> Chosen:
        labels = labelled.get(use, train_labels)
        rng = seeds.generator(seed, "splits", use)
        try:
            return choose_stratified(labels, among, count, rng, leave)
        except ValueError as error:
            raise ConfigError(_too_many(key, count, labels[among], leave)) from error

    validation = draw("validation", "validation", everything, settings["validation"], leave=1)
    train = np.setdiff1d(everything, validation, assume_unique=True)
    batches, size = settings["reference_batches"], settings["reference_batch_size"]
    key = "reference_batches (or reference_batch_size)"
    reference = draw(key, "reference", tests, batches * size)
    order = _shuffle(len(reference), seeds.generator(seed, "splits", "reference order"))
    probes = {"probe_train": train, "probe_held_out": validation, "probe_test": tests}
    return {
        "train": train,
        "validation": validation,
        "test": tests,
        "reference": reference[order],
        "reference_bounds": np.arange(batches + 1, dtype=np.int64) * size,
        **{name: draw(name, name, among, settings[name]) for name, among in probes.items()},
        **{
            f"fraction_{name}": chosen
            for name, chosen in nest_fractions(
                train_labels, train, fractions, seeds.generator(seed, "splits", "fractions")
            ).items()
        },
    }


def describe(tensors: Mapping[str, np.ndarray], dataset_sha256: str, classes: Sequence[str]) -> Any:
    """What `splits.safetensors` says of itself: hashes of the dataset and of every tensor."""
    hashes = {name: _hash(tensor) for name, tensor in tensors.items()}
    reference = f"{dataset_sha256}{hashes['reference']}{hashes['reference_bounds']}"
    return {
        "dataset_sha256": dataset_sha256,
        "hashes": hashes,
        "reference_sha256": hashlib.sha256(reference.encode()).hexdigest(),
        "classes": list(classes),
    }


def main(job: Job) -> None:
    """Divide the images of `dataset` and write `splits`."""
    path = job.input("dataset")
    dataset = read_dataset(path)
    labels = {split: read_labels(path, dataset, split) for split in ("train", "test")}
    tensors = divide(
        labels["train"],
        labels["test"],
        job.config["splits"],
        job.config["fractions"],
        job.config["seed"],
    )
    meta = describe(tensors, sha256(path), dataset["classes"])
    write_tensors(job.output("splits"), tensors, meta)
    job.notes["images"] = {name: len(tensor) for name, tensor in tensors.items()}


def _shuffle(count: int, rng: np.random.Generator) -> Int64[np.ndarray, " images"]:
    """A permutation from the generator's raw words, which no NumPy version changes."""
    return np.argsort(rng.bit_generator.random_raw(count), kind="stable").astype(np.int64)


def _rank_in_class(classes: Labels) -> Int64[np.ndarray, " images"]:
    """How many images of the same class come before each image."""
    order = np.argsort(classes, kind="stable")
    begins = np.concatenate([[0], np.cumsum(np.bincount(classes))])
    rank = np.empty(len(classes), np.int64)
    rank[order] = np.arange(len(classes)) - begins[classes[order]]
    return rank


def _too_many(key: str, count: int, labels: Labels, leave: int) -> str:
    there = int(np.maximum(np.bincount(labels) - leave, 0).sum()) if len(labels) else 0
    reason = f" when {leave} of each class stays for training" if leave else ""
    return (
        f"splits.{key} asks for {count} images, but there are {there} to choose from{reason}: "
        f"lower splits.{key} to at most {there} images in all"
    )


def _hash(tensor: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(tensor, "<i8").tobytes()).hexdigest()


if __name__ == "__main__":
    run(main)
