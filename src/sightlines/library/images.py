"""Images for a notebook: photographs of a folder, arrays, or the reference images of a run."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sightlines.core import seeds
from sightlines.core.devices import Compute
from sightlines.core.errors import ConfigError, DataError
from sightlines.core.files import (
    TensorReader,
    make_folder,
    sha256,
    write_npy,
    write_table,
    write_tensors,
)
from sightlines.datasets.imagefolder import MEAN, SETTINGS, STD
from sightlines.datasets.imagefolder_manifest import class_names, make_manifest
from sightlines.datasets.imagefolder_scan import Listing, raise_offences, scan
from sightlines.datasets.reading import ImageSet, open_dataset
from sightlines.datasets.split import choose_reference, describe
from sightlines.datasets.store import (
    SPLITS,
    channel_statistics,
    read_dataset,
    read_manifest,
    write_dataset,
)
from sightlines.library.scratch import Scratch

MINIBATCH = 128
"""Images of a reference minibatch, where nothing else is asked for."""
ARRAY_CLASSES = "class {}"


@dataclass(frozen=True)
class Images:
    """Images, and the minibatches in which networks are shown them.

    Attributes:
        name: What they are, for labels and errors.
        set: The images themselves.
        reference: Which are shown, in which minibatches.
        paths: Of photographs, one an image of `set`; empty for arrays.
        is_pool: Whether both splits of `set` are the same images.
        scratch: The folder that their description lies in, where it is a temporary one.
    """

    name: str
    set: ImageSet
    reference: TensorReader
    paths: tuple[str, ...] = ()
    is_pool: bool = False
    scratch: Scratch | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """Images that are shown."""
        return len(self.reference["reference"])

    def __repr__(self) -> str:
        """What they are, how many, and how they are shown."""
        bounds = np.asarray(self.reference["reference_bounds"])
        return f"Images({self.name!r}: {len(self)} in {len(bounds) - 1} minibatches)"

    @property
    def classes(self) -> list[str]:
        """Class names, in the order of the labels; empty where there are none."""
        return self.set.classes

    def on(self, device: torch.device) -> "Images":
        """The same images, handed out on a device."""
        compute = Compute(device, torch.float32, torch.get_num_threads(), self.set.compute.workers)
        return replace(self, set=ImageSet(self.set.path, self.set.facts, self.set.source, compute))


def images(
    source: str | os.PathLike[str] | np.ndarray,
    *,
    limit: int | None = None,
    labels: Sequence[int] | np.ndarray | None = None,
    minibatch: int = MINIBATCH,
    seed: int = 0,
) -> Images:
    """Images that networks are to be shown.

    Each is shown as its network expects: scaled, cropped and normalised by the network's card.

    Args:
        source: A folder of photographs, with or without a folder a class (and, as for ImageNet,
            train and val above these: then those of val); or pixels, uint8 [n, height, width, 3],
            height and width equal.
        limit: At most so many, drawn at random; all by default.
        labels: Class of every image of an array, from 0; photographs have their folders' names.
        minibatch: Images of a minibatch, at least 4. Images that do not fill a last one are left
            out, because estimates weigh minibatches as if they were of one size.
        seed: Of the draw and of the order. Equal images, `limit`, `minibatch` and `seed` give equal
            minibatches on any machine.

    Example:
        >>> pixels = np.zeros((64, 32, 32, 3), np.uint8)
        >>> sl.images(pixels, limit=40, minibatch=16)
        Images('array': 32 in 2 minibatches)

    Raises:
        DataError: the folder is missing, or photographs in it cannot be read: all are listed.
        ConfigError: fewer images than one minibatch, or what is given is not of images.
    """
    if not isinstance(source, str | os.PathLike | np.ndarray):
        raise ConfigError(
            f"images: a {type(source).__name__}; give a folder of photographs, or an array uint8 "
            "[images, side, side, 3]"
        )
    scratch = Scratch()
    out = scratch.path
    if isinstance(source, np.ndarray):
        name, root = "array", out
        _write_array(out, source, labels)
    else:
        if labels is not None:
            raise ConfigError("labels: those of photographs are their folders' names; leave it out")
        root = Path(source)
        if not root.is_dir():
            raise DataError(f"there is no folder {root} of photographs")
        name = root.resolve().name
        _write_folder(out, root, limit, seed)
    description = out / "dataset.json"
    reference = _choose(description, limit, minibatch, seed, out)
    compute = Compute(torch.device("cpu"), torch.float32, torch.get_num_threads(), 0)
    image_set = open_dataset(description, root, compute)
    return Images(name, image_set, reference, _paths(image_set), True, scratch)


def _write_array(out: Path, pixels: np.ndarray, labels: Sequence[int] | np.ndarray | None) -> None:
    is_square = pixels.ndim == 4 and pixels.shape[-1] == 3 and pixels.shape[1] == pixels.shape[2]
    if pixels.dtype != np.uint8 or not is_square or not pixels.size:
        raise ConfigError(
            f"images: an array {pixels.dtype} {list(pixels.shape)}; it must be uint8 "
            "[images, side, side, 3]"
        )
    own = np.zeros(len(pixels), np.int64) if labels is None else np.asarray(labels)
    if own.shape != (len(pixels),) or own.dtype.kind not in "iu" or own.min() < 0:
        raise ConfigError(
            f"labels: {own.dtype} {list(own.shape)} for {len(pixels)} images; one class each, a "
            "whole number from 0"
        )
    own = own.astype(np.int64)
    classes = [] if labels is None else [ARRAY_CLASSES.format(c) for c in range(own.max() + 1)]
    mean, std = channel_statistics(pixels)
    names = []
    for what, content in (("images", pixels), ("labels", own)):
        write_npy(out / f"test_{what}.npy", content)
        os.link(out / f"test_{what}.npy", out / f"train_{what}.npy")
        names += [f"{split}_{what}.npy" for split in SPLITS]
    facts = {
        "kind": "array",
        "storage": "arrays",
        "classes": classes,
        "size_px": int(pixels.shape[1]),
        "mean": mean,
        "std": std,
        "counts": dict.fromkeys(SPLITS, len(pixels)),
    }
    write_dataset(out, names, facts)


def _write_folder(out: Path, root: Path, limit: int | None, seed: int) -> None:
    """Describe the photographs of a folder that may be shown, each decoded once."""
    listing = _listed(root, limit, seed)
    defaults = {key: node["default"] for key, node in SETTINGS.items() if "default" in node}
    manifest = make_manifest(listing, defaults | {"test_share": 1.0}, is_labelled=False)
    raise_offences(root, listing.offences + manifest.offences)
    make_folder(out)
    table = manifest.table
    twice = pd.concat([table.assign(split=split) for split in SPLITS])
    write_table(out / "manifest.parquet", twice)
    facts: dict[str, Any] = {
        "kind": "imagefolder",
        "storage": "photographs",
        "classes": class_names(listing),
        "size_px": defaults["size_px"],
        "mean": list(MEAN),
        "std": list(STD),
        "counts": dict.fromkeys(SPLITS, len(table)),
        "folder": ".",
    }
    if manifest.white_levels:
        facts["white_levels"] = manifest.white_levels
    write_dataset(out, ["manifest.parquet"], facts)


def _listed(root: Path, limit: int | None, seed: int) -> Listing:
    """Photographs of a folder, of its test images where it is divided, at most so many."""
    listing = scan(root)
    if listing.is_divided:
        listing.images = [image for image in listing.images if image[0] == "test"]
    listing.images = [("test", name, path) for _, name, path in listing.images]
    listing.folders = {"test": "."}
    if limit is not None and limit < len(listing.images):
        words = seeds.generator(seed, "library", "images").bit_generator.random_raw
        chosen = np.sort(np.argsort(words(len(listing.images)), kind="stable")[:limit])
        listing.images = [listing.images[index] for index in chosen]
    return listing


def _choose(
    description: Path, limit: int | None, minibatch: int, seed: int, out: Path
) -> TensorReader:
    """Which images are shown, in which minibatches: chosen as a run chooses its own."""
    dataset = read_dataset(description)
    count = dataset["counts"]["test"]
    shown = count if limit is None else min(limit, count)
    minibatch = min(minibatch, shown)
    if minibatch < 4:
        raise ConfigError(
            f"{count} images, minibatches of {minibatch}: similarity needs at least 4 at once"
        )
    strata = np.zeros(count, np.int64)  # every image may be chosen, whatever its class
    settings = {
        "reference_batches": shown // minibatch,
        "reference_batch_size": minibatch,
    }
    labels = {"train": strata[:0], "test": strata}
    tensors = choose_reference(labels, settings, seed)
    path = out / "reference.safetensors"
    write_tensors(path, tensors, describe(tensors, sha256(description), dataset["classes"]))
    return TensorReader(path)


def _paths(image_set: ImageSet) -> tuple[str, ...]:
    if image_set.facts["storage"] == "arrays":
        return ()
    return tuple(read_manifest(image_set.path, image_set.facts, "test")["path"])
