"""`cifar10_c`: one corruption of CIFAR-10-C at one severity, from the files of its authors.

Hendrycks & Dietterich 2019; https://zenodo.org/records/2535967. `<folder>/<corruption>.npy` holds
the 10,000 test images of CIFAR-10 five times, severity after severity, `<folder>/labels.npy` their
classes. It is for another task under `transfer` (`domain: out`): networks that were trained on
CIFAR-10 are scored on it. The last 1,000 images serve as the training images that every dataset
has, for probes; the first 9,000 are test images.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightlines.core.data_root import require_below
from sightlines.datasets.store import name_variant

if TYPE_CHECKING:
    import numpy as np

SETTINGS: dict[str, dict[str, Any]] = {
    "folder": {
        "description": "Folder of the files, relative to data_root.",
        "type": "string",
        "minLength": 1,
        "x-path": [],
        "default": "CIFAR-10-C",
    },
    "corruption": {
        "description": "Name of a file, without .npy, such as gaussian_noise.",
        "type": "string",
        "pattern": "^[a-z0-9_]+$",
    },
    "severity": {
        "description": "Which fifth of the file.",
        "type": "integer",
        "minimum": 1,
        "maximum": 5,
        "default": 5,
    },
}
REQUIRED = ("corruption",)
FILES = (
    "dataset.json",
    "train_images.npy",
    "train_labels.npy",
    "test_images.npy",
    "test_labels.npy",
)
SIZE_PX, IMAGES, SEVERITIES = 32, 10_000, 5
SPLIT = {"test": slice(0, 9_000), "train": slice(9_000, IMAGES)}
CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


def variant(settings: Mapping[str, Any]) -> str:
    """Folder name below `data/`."""
    return name_variant("cifar10_c", settings)


def check(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Size in px of an image, and number of classes.

    Raises:
        ConfigError: the folder lies outside of data_root.
    """
    require_below(settings["folder"], "dataset.folder")
    return SIZE_PX, len(CLASSES)


def counts(_settings: Mapping[str, Any]) -> dict[str, int]:
    """Images of each split, as far as the settings tell."""
    return {split: len(range(IMAGES)[own]) for split, own in SPLIT.items()}


def fingerprint(settings: Mapping[str, Any], source: Path) -> str:
    """Digest of both files as they are now.

    Raises:
        DataError: naming those that are missing.
    """
    import hashlib

    from sightlines.core.errors import DataError
    from sightlines.core.file_hashes import UNREADABLE, hash_files

    names = _files(settings)
    hashes = hash_files(source / settings["folder"], names)
    missing = [name for name, digest in zip(names, hashes, strict=True) if digest == UNREADABLE]
    if missing:
        raise DataError(
            f"{source / settings['folder']} lacks {', '.join(missing)}: unpack CIFAR-10-C.tar "
            "there, or set dataset.folder, and dataset.corruption to the name of one of its files"
        )
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def prepare(settings: Mapping[str, Any], source: Path, out: Path, log: Any) -> None:
    """Check both files and write images, labels and `dataset.json` into `out`.

    Raises:
        DataError: all that is wrong with the files, at once.
        DiskError: too little room.
    """
    import numpy as np

    from sightlines.core.errors import DataError
    from sightlines.core.files import require_free_space, write_npy
    from sightlines.datasets.store import channel_statistics, write_dataset

    folder, names = source / settings["folder"], _files(settings)
    count = IMAGES * SEVERITIES
    images, labels = (_open(folder / name) for name in names)
    offences = _of(names[0], images, "uint8", (count, SIZE_PX, SIZE_PX, 3))
    offences += _of(names[1], labels, "", (count,))
    if not offences and isinstance(labels, np.ndarray):
        wrong = np.flatnonzero((labels < 0) | (labels >= len(CLASSES)))
        if len(wrong):
            first = int(wrong[0])
            offences.append(f"{names[1]}: {len(wrong)} labels are none of 0 to 9, first at {first}")
    if offences or isinstance(images, str) or isinstance(labels, str):
        told = "\n  ".join(offences)
        raise DataError(f"{folder} is not CIFAR-10-C as published:\n  {told}\nUnpack it anew.")
    begin = (settings["severity"] - 1) * IMAGES
    own = slice(begin, begin + IMAGES)
    pixels, classes = np.array(images[own]), np.array(labels[own]).astype(np.int64)
    require_free_space(out, pixels.nbytes, "the images of CIFAR-10-C")
    for split, part in SPLIT.items():
        write_npy(out / f"{split}_images.npy", pixels[part])
        write_npy(out / f"{split}_labels.npy", classes[part])
    mean, std = channel_statistics(pixels[SPLIT["train"]])
    write_dataset(
        out,
        [name for name in FILES if name != "dataset.json"],
        {
            "kind": "cifar10_c",
            "storage": "arrays",
            "classes": list(CLASSES),
            "size_px": SIZE_PX,
            "mean": mean,
            "std": std,
            "counts": counts(settings),
        },
    )
    log.info(f"{settings['corruption']}, severity {settings['severity']}: {IMAGES} images")


def _files(settings: Mapping[str, Any]) -> list[str]:
    return [f"{settings['corruption']}.npy", "labels.npy"]


def _open(path: Path) -> "np.ndarray | str":
    """A mapped array, or what is wrong with the file."""
    import numpy as np

    try:
        # Not np.load, which opens archives and pickles as well.
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        return f"{path.name}: {error}"


def _of(name: str, found: "np.ndarray | str", dtype: str, shape: tuple[int, ...]) -> list[str]:
    """What is wrong with an array."""
    if isinstance(found, str):
        return [found]
    is_type = found.dtype == dtype if dtype else found.dtype.kind in "iu"
    if is_type and found.shape == shape:
        return []
    return [f"{name}: {found.dtype} {found.shape} instead of {dtype or 'integers'} {shape}"]
