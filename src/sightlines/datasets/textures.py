"""`textures`: generated images without objects, whose class is the texture that fills them.

The ten textures of `shapes` at any rotation, scale and phase, in colours that say nothing about
the class: images far from those of objects, for transfer out of the domain (Raghu et al. 2021,
appendix G, has satellite and retina images in this place). Byte-identical on every machine.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightlines.datasets.store import SPLITS, check_counts, name_variant

SETTINGS = {
    "n_train": {
        "description": "Training images; classes are balanced.",
        "unit": "images",
        "type": "integer",
        "minimum": 10,
        "default": 6000,
    },
    "n_test": {
        "description": "Test images; classes are balanced.",
        "unit": "images",
        "type": "integer",
        "minimum": 10,
        "default": 2000,
    },
    "size_px": {
        "description": "Width and height of the images.",
        "unit": "px",
        "type": "integer",
        "minimum": 16,
        "maximum": 256,
        "default": 32,
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
    "test_images.npy",
    "test_labels.npy",
)

CLASSES = 10
CHUNK_PIXELS = 128 * 32 * 32
SCENE = {
    **{"surface": "textures", "tilt_deg": 180, "surface_tilt_deg": 180, "own_hue": False},
    **{"smallest_object": 22, "largest_object": 26, "distractors": 0},
}
"""What of a scene of `shapes` is used: any rotation, any hue, nothing in the way."""


def variant(settings: Mapping[str, Any]) -> str:
    """Folder name below `data/`."""
    return name_variant("textures", settings)


def check(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Size in px of an image, and number of classes.

    Raises:
        ConfigError: fewer images than classes.
    """
    check_counts("textures", settings, CLASSES)
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
    from sightlines.core.files import require_free_space, write_npy
    from sightlines.datasets.shapes_textures import TEXTURES
    from sightlines.datasets.store import channel_statistics, write_dataset

    counts = {split: settings[f"n_{split}"] for split in SPLITS}
    needed = sum(counts.values()) * settings["size_px"] ** 2 * 4
    require_free_space(out, needed, "The dataset textures")
    (out / "dataset.json").unlink(missing_ok=True)
    mean, std = [0.0] * 3, [1.0] * 3
    for split in counts:
        images, labels = generate(settings, split)
        write_npy(out / f"{split}_images.npy", images)
        write_npy(out / f"{split}_labels.npy", labels)
        log.info(f"rendered {len(images)} {split} images")
        if split == "train":
            mean, std = channel_statistics(images)
    write_dataset(
        out,
        [name for name in FILES if name != "dataset.json"],
        {
            "kind": "textures",
            "storage": "arrays",
            "classes": list(TEXTURES),
            "size_px": settings["size_px"],
            "mean": mean,
            "std": std,
            "counts": counts,
        },
    )


def generate(settings: Mapping[str, Any], split: str) -> tuple[Any, Any]:
    """All images of a split.

    Args:
        settings: The dataset's settings.
        split: ``train`` or ``test``.

    Returns:
        Pixels, uint8 [images, h, w, 3], and classes, int64 [images].
    """
    import numpy as np

    from sightlines.datasets.shapes_integers import Draws
    from sightlines.datasets.shapes_render import render_surface
    from sightlines.datasets.shapes_scene import draw_scene

    count, size = settings[f"n_{split}"], settings["size_px"]
    draws = Draws(settings["seed"], f"textures {split}", count)
    labels = draws.shuffled("order") % CLASSES
    scene = draw_scene(draws, labels, labels, {**SCENE, "size_px": size})
    images = np.empty((count, size, size, 3), np.uint8)
    step = max(1, CHUNK_PIXELS // size**2)
    for begin in range(0, count, step):
        rows = slice(begin, min(begin + step, count))
        images[rows] = render_surface(scene[rows], size)
    return images, labels
