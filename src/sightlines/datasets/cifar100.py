"""CIFAR-100: 60,000 labelled photographs of 32 x 32 px, 100 classes in 20 groups."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightlines.datasets.store import name_variant

SETTINGS = {
    "labels": {
        "description": "Classes: the 100 fine ones, or their 20 coarse groups.",
        "enum": ["fine", "coarse"],
        "default": "fine",
    },
}

FILES = (
    "dataset.json",
    "train_images.npy",
    "train_labels.npy",
    "test_images.npy",
    "test_labels.npy",
)

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
MD5 = "eb9058c3a382ffc7106e4002c42a8d85"
FOLDER = "cifar-100-python"
MEMBERS = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}
MEAN = (0.5071, 0.4865, 0.4409)
STD = (0.2673, 0.2564, 0.2762)


def variant(settings: Mapping[str, Any]) -> str:
    """Folder name below `data/`."""
    return name_variant("cifar100", settings)


def check(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Size in px of an image, and number of classes."""
    return 32, 100 if settings["labels"] == "fine" else 20


def counts(_settings: Mapping[str, Any]) -> dict[str, int]:
    """Images of each split, as far as the settings tell."""
    return {"train": 50_000, "test": 10_000}


def fingerprint(_settings: Mapping[str, Any], _source: Path) -> str:
    """Identity of the source: none, its checksums are fixed."""
    return ""


def prepare(
    settings: Mapping[str, Any], source: Path, out: Path, log: Any, release: Any = None
) -> None:
    """Read, verify and write FILES into `out`.

    Args:
        settings: The dataset's settings.
        source: Folder with `cifar-100-python.tar.gz` or `cifar-100-python`.
        out: The dataset's folder.
        log: Progress.
        release: Another archive of the same form; the official one by default.

    Raises:
        DataError: the archive is missing without a network, damaged or not the official one.
    """
    from sightlines.datasets.cifar_archive import Release
    from sightlines.datasets.cifar_files import write_cifar

    release = release or Release(URL, MD5, FOLDER, MEMBERS, ("train",), ("test",), "meta")
    facts = {"kind": "cifar100", "mean": list(MEAN), "std": list(STD)}
    kind = settings["labels"]
    write_cifar(release, source, out, f"{kind}_labels", f"{kind}_label_names", facts, log)
