"""Diagnostics of every layer that tell when CKA misleads: a dominant direction, unit or image.

Sources: massive activations of Sun et al. 2024 (`largest_over_median`); dominant components and
images of Nguyen, Raghu and Kornblith 2022 (`top_share`, `effective_dimensions`, `influence`).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.linalg import eigh

from sightlines.core.progress import Progress
from sightlines.dumps.reading import GramDump
from sightlines.plan import roles
from sightlines.stats import hsic, indices

READS = ("gram",)
TABLES = {
    "diagnostics.csv": {
        "about": "What tells when CKA misleads: a dominant direction, unit or image",
        "row": "network × layer",
        "columns": (
            "network",
            "layer",
            "name",
            "kind",
            "block",
            "depth",
            ("top_share", "float", "share", "variance in the first principal component"),
            ("effective_dimensions", "float", "", "participation ratio of the Gram's eigenvalues"),
            (
                "largest_over_median",
                "float",
                "",
                "largest absolute activation ÷ median of those that are not 0",
            ),
            (
                "influence",
                "float",
                "",
                "share of the layer's self-HSIC that rests on the most influential image, in "
                "multiples of an equal share",
            ),
            (
                "influential_image",
                "int",
                "",
                "that image's place among the reference images; −1 where the layer is constant",
            ),
        ),
    },
}
NO_IMAGE = -1
LAYERS = 16
"""Layers whose whole Grams are held at once."""
NAMES = ("name", "kind", "block", "depth")


def measure(gram: list[GramDump]) -> dict[str, Any]:
    """Diagnose every layer of every network, but of further controls.

    Args:
        gram: Of each network.
    """
    further = roles.further_controls(dump.network for dump in gram)
    shown = [dump for dump in gram if dump.network not in further]
    return {"diagnostics.csv": _tables(shown)}


def _tables(gram: list[GramDump]) -> Iterator[pd.DataFrame]:
    progress = Progress(len(gram), "networks")
    for done, dump in enumerate(gram, 1):
        yield diagnose(dump)
        progress.update(done)


def diagnose(dump: GramDump) -> pd.DataFrame:
    """One row a layer; NaN, and image -1, where it does not vary.

    * `top_share`, `effective_dimensions`: of each minibatch's Gram, see `spectrum`; means over
      minibatches.
    * `largest_over_median`: the largest absolute activation of all images and units, over the mean
      of the minibatches' medians of those that are not 0.
    * `influence`: how much of the layer's self-HSIC rests on the image that counts most, in
      multiples of an equal share: 1 where all images count alike, at most half the number of
      images. `influential_image` is its place in the order of the reference images.
    """
    layers, count = len(dump.layers), len(dump.batch_sizes)
    spectra, total, scale = np.zeros((2, layers)), np.zeros(layers), np.zeros(layers)
    most, image = np.zeros(layers), np.full(layers, NO_IMAGE)
    largest, medians = np.zeros(layers), np.zeros(layers)
    begin = 0
    for minibatch, images in enumerate(dump.batch_sizes):
        packed = dump.packed(minibatch)
        for start in range(0, layers, LAYERS):
            some = slice(start, start + LAYERS)
            grams = indices.unpack(packed[some], images)
            spectra[:, some] += spectrum(grams)
            rows = row_norms(grams)
            total[some] += rows.sum(axis=1)
            scale[some] += np.square(grams).sum(axis=(1, 2))
            is_more = rows.max(axis=1) > most[some]
            most[some] = np.where(is_more, rows.max(axis=1), most[some])
            image[some] = np.where(is_more, begin + rows.argmax(axis=1), image[some])
        largest = np.maximum(largest, dump.largest(minibatch))
        medians += dump.median(minibatch) / count
        begin += images
    varies = total > hsic.CONSTANT**2 * scale
    found = {
        "top_share": spectra[0] / count,
        "effective_dimensions": spectra[1] / count,
        "largest_over_median": largest / np.where(medians > 0, medians, np.nan),
        "influence": begin * most / np.where(varies, total, np.nan),
    }
    return pd.DataFrame(
        {
            **dump.network._asdict(),
            "layer": [row["index"] for row in dump.layers],
            **{key: [row[key] for row in dump.layers] for key in NAMES},
            **{name: np.where(varies, values, np.nan) for name, values in found.items()},
            "influential_image": np.where(varies, image, NO_IMAGE),
        }
    )


def spectrum(grams: indices.Grams) -> tuple[np.ndarray, np.ndarray]:
    """Share of variance in the first principal component, and the number of effective dimensions.

    With the Gram's eigenvalues λ: max λ / Σλ, and the participation ratio (Σλ)² / Σλ², which is d
    where d directions share the variance alike. Both know no more than n - 1 dimensions.

    Returns:
        Two arrays [layers]; NaN where a layer does not vary.
    """
    variance = np.einsum("lii->l", grams)
    variance = np.where(variance > 0, variance, np.nan)
    last = grams.shape[1] - 1
    top = [
        eigh(gram, eigvals_only=True, subset_by_index=(last, last), check_finite=False)[0]
        for gram in grams
    ]
    squares = np.square(grams).sum(axis=(1, 2))
    return np.array(top) / variance, np.square(variance) / np.where(squares > 0, squares, np.nan)


def row_norms(grams: indices.Grams) -> Float[np.ndarray, "layers images"]:
    """Squared norm of each image's row of the U-centred Gram; they add up to n(n-3) HSIC₁(K, K).

    Its share of that sum is all there is to know for a jackknife over images: without image i,
    whose row has the squared norm q, the sum S becomes S - 2q (n-2)/(n-3), and an image with the
    equal share q = S/n leaves HSIC₁ exactly as it was.
    """
    images = grams.shape[1]
    centred = grams.copy()
    np.einsum("lii->li", centred)[...] = 0
    means = centred.sum(axis=1) / (images - 2)
    means -= means.sum(axis=1, keepdims=True) / (2 * (images - 1))
    centred -= means[:, :, None] + means[:, None, :]
    np.einsum("lii->li", centred)[...] = 0
    return np.square(centred).sum(axis=2)  # type: ignore[no-any-return]
