"""Where the object is in images of a dataset that says so: `{split}_masks.npy`, packed bits."""

import numpy as np
from jaxtyping import Bool

from sightlines.core.errors import ResultError
from sightlines.core.files import read_npy
from sightlines.datasets.reading import ImageSet
from sightlines.datasets.store import checked_file


def object_masks(images: ImageSet, split: str) -> Bool[np.ndarray, "images height width"] | None:
    """Masks of all images of a split, in the dataset's own size; None where there are none.

    Raises:
        ResultError: the file is not the one that `dataset.json` names, or of another shape.
    """
    name = f"{split}_masks.npy"
    if name not in images.facts["files"]:
        return None
    path = checked_file(images.path, images.facts, name)
    packed, count, size = read_npy(path), images.facts["counts"][split], images.size_px
    if packed.shape != (count, -(-(size**2) // 8)) or packed.dtype != np.uint8:
        raise ResultError(
            f"{path} holds {packed.dtype} {packed.shape}, which are no masks of {count} images of "
            f"{size} px. Delete the folder and run snakemake again."
        )
    bits = np.unpackbits(packed, axis=1, count=size**2)
    return bits.reshape(count, size, size).astype(bool)
