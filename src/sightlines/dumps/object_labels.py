"""Where the objects are in the images that a network is shown, as it sees them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from sightlines.core.files import read_table
from sightlines.datasets.object_masks import object_masks
from sightlines.datasets.photograph_masks import VOID, open_mask, seen
from sightlines.datasets.views import View
from sightlines.dumps.network import Shown

Labels = Callable[[int], np.ndarray]
"""From a test image to its label map as the network sees it [size, size] uint8."""


def label_maps(shown: Shown, masks: Path | None) -> Labels | None:
    """Reads where the objects are, by test image; None where nobody says so.

    Args:
        shown: The network and its images.
        masks: The list of the photographs' masks, where there is one.
    """
    view = View.of(shown.card)
    whole = object_masks(shown.images, "test")
    if whole is not None:
        return lambda image: seen(whole[image].astype(np.uint8), view)
    if masks is None:
        return None
    table, source = read_table(masks), shown.images.source

    def read(image: int) -> np.ndarray:
        row = table.iloc[image]
        size = (int(row["width_px"]), int(row["height_px"]))
        return seen(open_mask(source / row["path"], row["sha256"], size, row["form"]), view)

    return read


def object_pixels(shown: Shown, masks: Path | None) -> Callable[[np.ndarray], np.ndarray] | None:
    """Reads which pixels are an object's [images, size, size] bool, of any one; None: not known.

    Pixels that are not labelled count as none. The last images asked for are kept, since several
    changes of them come one after the other.
    """
    labels = label_maps(shown, masks)
    if labels is None:
        return None
    kept: dict[int, np.ndarray] = {}

    def read(images: np.ndarray) -> np.ndarray:
        wanted = [int(image) for image in images]
        if any(image not in kept for image in wanted):
            kept.clear()
            for image in wanted:
                label = labels(image)
                kept[image] = (label != 0) & (label != VOID)
        return np.stack([kept[image] for image in wanted])

    return read
