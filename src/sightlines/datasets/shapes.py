"""`shapes`: a generated dataset with known truth, byte-identical on every machine.

An object of a class-defining outline (ten classes) at a random place, size, tilt and colour, with
one of ten surfaces, on a textured background with distractors. The outline is the global cue; the
surface is the local one and belongs to the class with probability `texture_match`: bands in three
colours, the same for all, that are told apart by width and direction only, over two to three
patches of 4 px; or a texture of one patch's period. Object masks, places and surface labels are
kept, and a second set of images has cue conflicts: the shape of one class with the surface of
another (after Geirhos et al. 2019). Licence: as this repository.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sightlines.core.errors import ConfigError
from sightlines.datasets.store import SPLITS, check_counts, name_variant

SETTINGS = {
    "n_train": {
        "description": "Training images; classes are balanced.",
        "unit": "images",
        "type": "integer",
        "minimum": 10,
        "default": 16000,
    },
    "n_test": {
        "description": "Test images; classes are balanced.",
        "unit": "images",
        "type": "integer",
        "minimum": 10,
        "default": 4000,
    },
    "n_conflict": {
        "description": "Cue-conflict images: shape of one class, texture of another.",
        "unit": "images",
        "type": "integer",
        "minimum": 0,
        "default": 500,
    },
    "n_silhouette": {
        "description": "Silhouettes: flat objects on flat grounds, without any surface.",
        "unit": "images",
        "type": "integer",
        "minimum": 0,
        "default": 0,
    },
    "n_mixed": {
        "description": "Objects that are shown twice, on a ground of their class's own texture "
        "(mixed_same) and on one of another class's (mixed_rand), as in ImageNet-9.",
        "unit": "images of each",
        "type": "integer",
        "minimum": 0,
        "default": 0,
    },
    "size_px": {
        "description": "Width and height of the images.",
        "unit": "px",
        "type": "integer",
        "minimum": 16,
        "maximum": 256,
        "default": 32,
    },
    "surface": {
        "description": "What objects are covered with: bands, of three colours, told apart by "
        "width and direction; textures, of two colours and one patch's period.",
        "enum": ["bands", "textures"],
        "default": "bands",
    },
    "texture_match": {
        "description": "Probability of an object having its class's own surface; 0.1: no cue.",
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.9,
    },
    "ground_match": {
        "description": "Probability of the ground having the texture of its object's class, "
        "rather than any; 0: grounds say nothing of the class.",
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0,
    },
    "lighter": {
        "description": "Objects are lighter than grounds, so that brightness alone finds them; if "
        "false, both are drawn from one range.",
        "type": "boolean",
        "default": True,
    },
    "own_hue": {
        "description": "Textures loosely keep a hue of their own, as materials do; if false, "
        "colours are independent of texture and class. Bands have one set of hues for all.",
        "type": "boolean",
        "default": True,
    },
    "tilt_deg": {
        "description": "Outlines are turned by up to this angle either way.",
        "unit": "°",
        "type": "integer",
        "minimum": 0,
        "maximum": 180,
        "default": 180,
    },
    "surface_tilt_deg": {
        "description": "Surfaces are turned by up to this angle either way, whatever the outline.",
        "unit": "°",
        "type": "integer",
        "minimum": 0,
        "maximum": 180,
        "default": 10,
    },
    "smallest_object": {
        "description": "Diameter of the smallest object.",
        "unit": "1/32 of the side",
        "type": "integer",
        "minimum": 8,
        "maximum": 26,
        "default": 16,
    },
    "largest_object": {
        "description": "Diameter of the largest object.",
        "unit": "1/32 of the side",
        "type": "integer",
        "minimum": 8,
        "maximum": 26,
        "default": 24,
    },
    "distractors": {
        "description": "Blobs and bars behind the object.",
        "unit": "per image",
        "type": "integer",
        "minimum": 0,
        "maximum": 20,
        "default": 3,
    },
    "seed": {
        "description": "Root seed of the generator.",
        "type": "integer",
        "minimum": 0,
        "default": 0,
    },
}

FILES = (
    "dataset.json",
    "train_images.npy",
    "train_labels.npy",
    "train_masks.npy",
    "train_truth.parquet",
    "test_images.npy",
    "test_labels.npy",
    "test_masks.npy",
    "test_truth.parquet",
    "conflict_images.npy",
    "conflict_masks.npy",
    "conflict_truth.parquet",
)

MASKS = True
"""Whether every image has a mask of its object."""
FURTHER = {
    "silhouette": "n_silhouette",
    "mixed_same": "n_mixed",
    "mixed_rand": "n_mixed",
}
"""Splits that there are where their setting is above 0; each has the three files of `conflict`."""
LATER = ("n_silhouette", "n_mixed", "ground_match", "lighter")
"""Settings that are no part of what a dataset is while they have their defaults: datasets from
before there were such settings stay what they are, in their folder."""

CLASSES = 10
CHUNK_PIXELS = 128 * 32 * 32


def variant(settings: Mapping[str, Any]) -> str:
    """Folder name below `data/`."""
    declared: Mapping[str, Any] = SETTINGS
    usual = {key: declared[key]["default"] for key in LATER}
    own = {k: v for k, v in settings.items() if k not in usual or v != usual[k]}
    return name_variant("shapes", own)


def files(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """What a dataset of these settings consists of: FILES, and those of the further splits."""
    ends = ("images.npy", "masks.npy", "truth.parquet")
    return FILES + tuple(f"{split}_{end}" for split in further(settings) for end in ends)


def further(settings: Mapping[str, Any]) -> dict[str, int]:
    """Splits beside train, test and conflict, with their numbers of images."""
    found = {split: int(settings.get(key, 0)) for split, key in FURTHER.items()}
    return {split: count for split, count in found.items() if count}


def check(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Size in px of an image, and number of classes.

    Raises:
        ConfigError: fewer images than classes, or the largest object is smaller than the smallest.
    """
    check_counts("shapes", settings, CLASSES)
    smallest, largest = settings["smallest_object"], settings["largest_object"]
    if largest < smallest:
        raise ConfigError(
            f"dataset.largest_object is {largest}, but smallest_object is {smallest}: raise one to "
            f"at least {smallest}, or lower the other"
        )
    return settings["size_px"], CLASSES


def counts(settings: Mapping[str, Any]) -> dict[str, int]:
    """Images of each split, as far as the settings tell."""
    return {split: settings[f"n_{split}"] for split in SPLITS}


def fingerprint(_settings: Mapping[str, Any], _source: Path) -> str:
    """Identity of the source: none, the images are generated."""
    return ""


def prepare(settings: Mapping[str, Any], _source: Path, out: Path, log: Any) -> None:
    """Render all images and write FILES into `out`.

    Raises:
        DiskError: too little room.
    """
    from sightlines.core.files import require_free_space
    from sightlines.datasets.shapes_outlines import OUTLINES
    from sightlines.datasets.shapes_render import surfaces
    from sightlines.datasets.store import channel_statistics, write_dataset

    counts = {split: settings[f"n_{split}"] for split in (*SPLITS, "conflict")}
    counts |= further(settings)
    needed = sum(counts.values()) * settings["size_px"] ** 2 * 4
    require_free_space(out, needed, "The dataset shapes")
    (out / "dataset.json").unlink(missing_ok=True)
    mean, std = [0.0] * 3, [1.0] * 3
    for split in counts:
        images = _write_split(settings, split, out)
        log.info(f"rendered {len(images)} {split} images")
        if split == "train":
            mean, std = channel_statistics(images)
    write_dataset(
        out,
        [name for name in files(settings) if name != "dataset.json"],
        {
            "kind": "shapes",
            "storage": "arrays",
            "classes": list(OUTLINES),
            "textures": surfaces(settings["surface"]),
            "size_px": settings["size_px"],
            "mean": mean,
            "std": std,
            "counts": {split: counts[split] for split in SPLITS},
            "conflict_images": counts["conflict"],
            **{f"{split}_images": count for split, count in further(settings).items()},
        },
    )


def generate(settings: Mapping[str, Any], split: str) -> tuple[Any, Any, Any]:
    """All images of a split.

    Args:
        settings: The dataset's settings.
        split: ``train``, ``test``, ``conflict``, or one of FURTHER.

    Returns:
        Pixels, uint8 [images, h, w, 3]; object masks, bool [images, h, w]; and the Scene behind
        them.
    """
    import os
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from sightlines.datasets.shapes_integers import Draws
    from sightlines.datasets.shapes_render import render
    from sightlines.datasets.shapes_scene import draw_split

    count, size = settings[FURTHER.get(split, f"n_{split}")], settings["size_px"]
    is_mixed = split.startswith("mixed")  # both of an object: they differ in their grounds alone
    draws = Draws(settings["seed"], "mixed" if is_mixed else split, count)
    scene = draw_split(draws, split, settings)
    images = np.empty((count, size, size, 3), np.uint8)
    masks = np.empty((count, size, size), bool)

    def fill(rows: slice) -> None:
        images[rows], masks[rows] = render(scene[rows], size)

    with ThreadPoolExecutor(min(4, len(os.sched_getaffinity(0)))) as pool:
        list(pool.map(fill, _chunks(count, max(1, CHUNK_PIXELS // size**2))))
    return images, masks, scene


def truth(scene: Any) -> Any:
    """The ground truth as a data frame, one row an image.

    Columns: label (outline), texture (the object's surface), ground (texture of the background),
    x_px and y_px (object's centre, origin at the image's upper left corner), size_px (diameter of
    the outline's frame), angle_rad (clockwise rotation of the object).
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "label": scene.label,
            "texture": scene.texture,
            "ground": scene.ground,
            "x_px": scene.centre[:, 0] / 256,
            "y_px": scene.centre[:, 1] / 256,
            "size_px": scene.radius / 128,
            "angle_rad": scene.angle * (math.tau / 4096),
        }
    )


def _chunks(count: int, size: int) -> Iterator[slice]:
    return (slice(begin, min(begin + size, count)) for begin in range(0, count, size))


def _write_split(settings: Mapping[str, Any], split: str, out: Path) -> Any:
    import numpy as np

    from sightlines.core.files import write_npy, write_table

    images, masks, scene = generate(settings, split)
    write_npy(out / f"{split}_images.npy", images)
    write_npy(
        out / f"{split}_masks.npy",
        np.packbits(masks.reshape(len(masks), masks.shape[1] * masks.shape[2]), axis=1),
    )
    write_table(out / f"{split}_truth.parquet", truth(scene))
    if split in SPLITS:
        write_npy(out / f"{split}_labels.npy", scene.label)
    return images
