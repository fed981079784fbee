"""CIFAR-10: 60,000 labelled photographs of 32 x 32 px, ten classes, from the official archive."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightlines.datasets.store import name_variant

SETTINGS: dict[str, Any] = {}

FILES = (
    "dataset.json",
    "train_images.npy",
    "train_labels.npy",
    "test_images.npy",
    "test_labels.npy",
)

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"
FOLDER = "cifar-10-batches-py"
MEMBERS = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)


def variant(settings: Mapping[str, Any]) -> str:
    """Folder name below `data/`."""
    return name_variant("cifar10", settings)


def check(_settings: Mapping[str, Any]) -> tuple[int, int]:
    """Size in px of an image, and number of classes."""
    return 32, 10


def counts(_settings: Mapping[str, Any]) -> dict[str, int]:
    """Images of each split, as far as the settings tell."""
    return {"train": 50_000, "test": 10_000}


def fingerprint(_settings: Mapping[str, Any], _source: Path) -> str:
    """Identity of the source: none, its checksums are fixed."""
    return ""


def prepare(
    _settings: Mapping[str, Any], source: Path, out: Path, log: Any, release: Any = None
) -> None:
    """Read, verify and write FILES into `out`.

    Args:
        source: Folder with `cifar-10-python.tar.gz` or `cifar-10-batches-py`.
        out: The dataset's folder.
        log: Progress.
        release: Another archive of the same form; the official one by default.

    Raises:
        DataError: the archive is missing without a network, damaged or not the official one.
    """
    from sightlines.datasets.cifar_archive import Release
    from sightlines.datasets.cifar_files import write_cifar

    release = release or Release(
        URL, MD5, FOLDER, MEMBERS, tuple(MEMBERS)[:5], ("test_batch",), "batches.meta"
    )
    facts = {"kind": "cifar10", "mean": list(MEAN), "std": list(STD)}
    write_cifar(release, source, out, "labels", "label_names", facts, log)
