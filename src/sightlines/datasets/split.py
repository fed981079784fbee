"""Command: divides an experiment's images, once, so that every network meets the same ones.

One file a part, so that a change to one leaves the others: `training` has the validation images
and nested data fractions (paper, Figure 12: 3, 10, 30, 100 %), `reference` the reference images
with their minibatch boundaries (appendix A: without replacement), `probes` the probes' images. All
are stratified (but for photographs whose classes do not count), drawn from named seeds, and
recorded with hashes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from sightlines.core import seeds
from sightlines.core.errors import ConfigError
from sightlines.core.files import sha256, write_tensors
from sightlines.datasets.store import open_splits, read_dataset, read_labels
from sightlines.jobs.command import Job, run

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
    labels: Labels, train: Indices, rng: np.random.Generator
) -> Int64[np.ndarray, " pool"]:
    """Nested stratified subsets: the first so many of each class, in one random order.

    Each class gives its share rounded to the nearest image, and at least one.

    Args:
        labels: Class of every training image of the dataset.
        train: Images that may be used, as indices into `labels`.
        rng: Decides the order.

    Returns:
        For each image of `train` the smallest per cent, 1 to 100, whose subset has the image.
    """
    order = _shuffle(len(train), rng)
    classes = labels[train[order]]
    rank, sizes = _rank_in_class(classes), np.bincount(classes)
    smallest = np.full(len(train), 100, np.int64)
    for share in range(99, 0, -1):
        smallest[order[rank < np.maximum((sizes * share + 50) // 100, 1)[classes]]] = share
    return smallest


def divide_training(
    labels: Mapping[str, Labels], settings: Mapping[str, int], seed: int
) -> dict[str, np.ndarray]:
    """Images to train, validate and test on, and from which per cent on each is trained on.

    Args:
        labels: Classes of the dataset's `train` and `test` images.
        settings: The config's `splits`, or what of it this uses.
        seed: The experiment's root seed.

    Raises:
        ConfigError: more images wanted than there are, with the key to lower.
    """
    everything = _all(labels["train"])
    validation = _draw(labels["train"], everything, settings, "validation", seed, leave=1)
    train = np.setdiff1d(everything, validation, assume_unique=True)
    rng = seeds.generator(seed, "splits", "fractions")
    return {
        "train": train,
        "validation": validation,
        "test": _all(labels["test"]),
        "train_from_per_cent": nest_fractions(labels["train"], train, rng),
    }


def choose_reference(
    labels: Mapping[str, Labels], settings: Mapping[str, int], seed: int
) -> dict[str, np.ndarray]:
    """Test images that networks are compared on, in random order, and the minibatches' bounds.

    Arguments and errors are those of `divide_training`.
    """
    batches, size = settings["reference_batches"], settings["reference_batch_size"]
    key = "reference_batches (or reference_batch_size)"
    wanted, tests = {key: batches * size}, _all(labels["test"])
    reference = _draw(labels["test"], tests, wanted, key, seed, use="reference")
    order = _shuffle(len(reference), seeds.generator(seed, "splits", "reference order"))
    return {
        "reference": reference[order],
        "reference_bounds": np.arange(batches + 1, dtype=np.int64) * size,
    }


def choose_probes(
    labels: Mapping[str, Labels],
    train: Int64[np.ndarray, " trained"],
    validation: Int64[np.ndarray, " held_out"],
    settings: Mapping[str, int],
    seed: int,
) -> dict[str, np.ndarray]:
    """Labelled images that linear probes are fitted to, chosen by and tested on.

    `probe_<subset>` are the first of `order_<subset>`, which has all images of the subset: networks
    are shown them in minibatches that are cut from that order.

    Args:
        labels: Classes of the dataset's `train` and `test` images.
        train: Images that networks are trained on; `probe_train` is drawn from them.
        validation: Images that `probe_held_out` is drawn from.
        settings: The config's `splits`, or what of it this uses.
        seed: The experiment's root seed.

    Raises:
        ConfigError: more images wanted than there are, with the key to lower.
    """
    subsets = {
        "probe_train": (labels["train"], train),
        "probe_held_out": (labels["train"], validation),
        "probe_test": (labels["test"], _all(labels["test"])),
    }
    found: dict[str, np.ndarray] = {}
    for key, (classes, among) in subsets.items():
        order, count = order_labelled(classes, among, seed, key), settings[key]
        if count > len(order):
            raise ConfigError(_too_many(key, count, classes[among], leave=0))
        found[key] = order[:count]
        found[key.replace("probe", "order")] = order
    return found


def order_labelled(labels: Labels, images: Indices, seed: int, name: str) -> Chosen:
    """Images in one random order of which any first so many have the classes' shares.

    Image k of a class of n comes at (k - 1/2)/n of the way (Sainte-Laguë), so that each class is
    within about one image of its share wherever the order ends.

    Args:
        labels: Class of every image of the split.
        images: Those to order, as indices into `labels`.
        seed: The experiment's root seed.
        name: Of the generator that decides.
    """
    rng = seeds.generator(seed, "splits", name)
    shuffled = np.sort(images)[_shuffle(len(images), rng)]
    classes = labels[shuffled]
    place = (_rank_in_class(classes) + 0.5) / np.bincount(classes)[classes]
    return shuffled[np.argsort(place, kind="stable")]  # type: ignore[no-any-return]


def strata_of(dataset: Mapping[str, Any], labels: Labels) -> Labels:
    """Class of every image of a split; all are one where classes do not count."""
    return labels if dataset.get("stratified", True) else np.zeros_like(labels)


def describe(tensors: Mapping[str, np.ndarray], dataset_sha256: str, classes: Sequence[str]) -> Any:
    """What a file of indices says of itself: hashes of the dataset and of every tensor."""
    hashes = {name: _hash(tensor) for name, tensor in tensors.items()}
    meta = {"dataset_sha256": dataset_sha256, "hashes": hashes, "classes": list(classes)}
    if "reference" in hashes:
        reference = f"{dataset_sha256}{hashes['reference']}{hashes['reference_bounds']}"
        meta["reference_sha256"] = hashlib.sha256(reference.encode()).hexdigest()
    return meta


def main(job: Job) -> None:
    """Choose the images of `dataset` that one part is about, and write `splits`."""
    path = job.input("dataset")
    dataset = read_dataset(path)
    labels = {split: _strata(path, dataset, split) for split in ("train", "test")}
    settings, seed = job.config["splits"], job.config["seed"]
    if job.config["part"] == "training":
        tensors = divide_training(labels, settings, seed)
    elif job.config["part"] == "reference":
        tensors = choose_reference(labels, settings, seed)
    else:
        splits = open_splits(job.input("splits"), path)
        train, validation = np.array(splits["train"]), np.array(splits["validation"])
        tensors = choose_probes(labels, train, validation, settings, seed)
    write_tensors(
        job.output("splits"), tensors, describe(tensors, sha256(path), dataset["classes"])
    )
    job.notes["images"] = {name: len(tensor) for name, tensor in tensors.items()}


def _strata(path: Path, dataset: Mapping[str, Any], split: str) -> Labels:
    return strata_of(dataset, read_labels(path, dataset, split))


def _all(labels: Labels) -> Indices:
    return np.arange(len(labels), dtype=np.int64)


def _draw(
    labels: Labels,
    among: Indices,
    settings: Mapping[str, int],
    key: str,
    seed: int,
    use: str = "",
    leave: int = 0,
) -> Chosen:
    """Draw as many images as the config's `splits.<key>` says, from the generator named `use`."""
    rng = seeds.generator(seed, "splits", use or key)
    try:
        return choose_stratified(labels, among, settings[key], rng, leave)
    except ValueError as error:
        raise ConfigError(_too_many(key, settings[key], labels[among], leave)) from error


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
