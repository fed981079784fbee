"""The smallest changes that change a network's answer, and how it bears attacks of one size.

Source: Paul & Chen 2021 (discrete cosine transform of minimal perturbations; projected gradient
descent); how they are made is said in `dumps.attacks`. The images are
the first test images in the order of `dumps.predictions`. For each of them

* `right` int32, whether the clean image is answered rightly, among all outputs;
* `moved` int32, whether a minimal perturbation was found that changes the answer, whether or not it
  was right; `norm` float32, its Euclidean norm, of levels from 0 to 1 over all channels;
* `energy` float32 [bands, bands], its energy by frequency downwards and to the right: the squared
  coefficients of the orthonormal DCT-II of each channel, summed over channels and within bands of
  equal width, as shares of the whole; `low` float32, the share in the lowest eighth of both;
* `fooled` and `by_signs` int32 [budgets], whether the image is answered wrongly on some step of an
  attack within the budget, and with random signs of that size, the control.

PART images are shown at once, whatever the config's minibatches are; random numbers are drawn by
image. Of a network of which it is not known which outputs stand for the classes there is nothing.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from scipy.fft import dctn

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorFile, TensorShapes
from sightlines.core.progress import Progress
from sightlines.core.seeds import generator
from sightlines.datasets.views import View
from sightlines.dumps.attacks import deepfool, project, projected_descent
from sightlines.dumps.network import Shown
from sightlines.dumps.predictions import answers_of
from sightlines.dumps.responses import walk_of

KIND = "perturbations"
READER = "sightlines.dumps.perturbations_reading:PerturbationsDump"
NETWORKS = "compared"
SPLITS = "splits"
USES = ("seed",)
CONDITIONS = "perturbation"
"""The block of the config's `conditions` whose settings these are."""
ASKED = "images"
"""Key of that block without which there is no such dump."""
PART = 64
"""Images that are attacked at once."""
BANDS = 32
"""Bands along either frequency, at most."""
LOWEST = 8
"""The lowest frequencies are this part of all, an eighth."""
BUDGETS = {32: (2 / 255, 4 / 255), 224: (0.001, 0.004)}
"""Largest changes of a level for images of so many px: Paul & Chen's at 224, and 4 times it."""


def record(shown: Shown, seed: int, conditions: dict[str, Any]) -> TensorFile:
    """Attack the first test images.

    Args:
        shown: The network.
        seed: The experiment's root seed.
        conditions: `images` at most, `budgets` (none: BUDGETS), and `steps`.

    Raises:
        ResultError: outputs or gradients are not finite.
    """
    side = int(shown.card["size_px"])
    answers = answers_of(shown)
    walk = walk_of(shown, seed, conditions["images"] if answers else 0)
    budgets = [float(b) for b in conditions["budgets"]] or [*published_budgets(side)]
    meta: dict[str, Any] = {
        "network": list(shown.network),
        "images": walk.count,
        "budgets": budgets,
        "steps": int(conditions["steps"]),
        "bands": min(BANDS, side),
        "outputs": len(shown.card["classes"]),
        "splits_sha256": {"test": shown.splits.meta["hashes"]["test"]},
    }
    shapes = perturbation_shapes(walk.count, meta["bands"], len(budgets))
    return TensorFile(shapes, meta, _rows(shown, seed, walk.kept, answers, meta))


def published_budgets(size_px: int) -> tuple[float, ...]:
    """Those of the published side that is nearest by ratio."""
    return BUDGETS[min(BUDGETS, key=lambda side: abs(np.log(size_px / side)))]


def perturbation_shapes(images: int, bands: int, budgets: int) -> TensorShapes:
    """The file's tensors, in order."""
    return {
        "right": ("I32", (images,)),
        "moved": ("I32", (images,)),
        "norm": ("F32", (images,)),
        "low": ("F32", (images,)),
        "energy": ("F32", (images, bands, bands)),
        "fooled": ("I32", (images, budgets)),
        "by_signs": ("I32", (images, budgets)),
    }


def _rows(
    shown: Shown, seed: int, chosen: np.ndarray, answers: list[int], meta: dict[str, Any]
) -> Iterator[tuple[str, np.ndarray]]:
    parts = [chosen[begin : begin + PART] for begin in range(0, len(chosen), PART)]
    batches = shown.images.batches("test", parts, view=View.of(shown.card))
    progress = Progress(len(parts), "minibatches")
    labels = shown.images.labels("test")
    for turn, (places, pixels) in enumerate(zip(parts, batches, strict=True)):
        right = torch.from_numpy(np.array(answers)[labels[places]]).to(shown.device)
        clean = pixels.to(shown.device, torch.float32) / 255
        yield from _attacked(shown, seed, clean, right, places, meta)
        progress.update(turn + 1)


def _attacked(
    shown: Shown,
    seed: int,
    clean: torch.Tensor,
    right: torch.Tensor,
    places: np.ndarray,
    meta: dict[str, Any],
) -> Iterator[tuple[str, np.ndarray]]:
    mean, std = (
        torch.tensor(shown.card[key], dtype=torch.float32, device=shown.device).view(1, 3, 1, 1)
        for key in ("mean", "std")
    )

    def outputs(images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = shown.model((images - mean) / std)
        if not torch.isfinite(found.detach()).all():
            raise ResultError(
                f"outputs of {shown.network.slug} are not finite: its training has diverged; "
                "lower train.learning_rate, or lengthen train.warmup_steps"
            )
        return found

    with torch.no_grad():
        was_right = outputs(clean).argmax(1) == right
    moved, is_moved = deepfool(outputs, clean)
    change = (moved - clean).double().cpu().numpy()
    yield "right", was_right.int().cpu().numpy()
    yield "moved", is_moved.int().cpu().numpy()
    yield "norm", np.sqrt(np.square(change).sum(axis=(1, 2, 3))).astype(np.float32)
    energy, low = energies(change, meta["bands"])
    yield "low", low
    yield "energy", energy
    fooled, by_signs = [], []
    for budget in meta["budgets"]:
        start, signs = (
            torch.from_numpy(drawn).to(clean) for drawn in draws(seed, budget, places, clean.shape)
        )
        _, wrong = projected_descent(outputs, clean, right, budget, meta["steps"], start)
        fooled.append(wrong)
        with torch.no_grad():
            noisy = project(clean + signs, clean, budget)
            by_signs.append(outputs(noisy).argmax(1) != right)
    yield "fooled", torch.stack(fooled, dim=1).int().cpu().numpy()
    yield "by_signs", torch.stack(by_signs, dim=1).int().cpu().numpy()


def draws(
    seed: int, budget: float, places: np.ndarray, shape: torch.Size
) -> tuple[Float32[np.ndarray, "images 3 height width"], ...]:
    """Where an attack starts, uniform within the budget, and random signs of its size.

    Args:
        seed: The experiment's root seed.
        budget: Largest change of a level.
        places: Of the images in their split.
        shape: Of the images.
    """
    found = np.empty((2, *shape), np.float32)
    for row, place in enumerate(places):
        own = generator(seed, "attack", f"{budget:g}", int(place))
        found[0, row] = own.uniform(-budget, budget, shape[1:])
        found[1, row] = budget * (2.0 * own.integers(0, 2, shape[1:]) - 1)
    return found[0], found[1]


def energies(
    change: Float64[np.ndarray, "images channels height width"], bands: int
) -> tuple[Float32[np.ndarray, "images bands bands"], Float32[np.ndarray, " images"]]:
    """Energy of changes by frequency, as shares, and the share of the lowest eighth of both.

    Args:
        change: Of the pixels.
        bands: Along either frequency.

    Returns:
        All 0 where nothing is changed.
    """
    side = change.shape[-1]
    squares = np.square(dctn(change, axes=(2, 3), norm="ortho")).sum(axis=1)
    whole = squares.sum(axis=(1, 2), keepdims=True)
    shares = np.divide(squares, whole, out=np.zeros_like(squares), where=whole > 0)
    edges = [-(-band * side // bands) for band in range(bands)]
    banded = np.add.reduceat(np.add.reduceat(shares, edges, axis=1), edges, axis=2)
    lowest = -(-side // LOWEST)
    low = shares[:, :lowest, :lowest].sum(axis=(1, 2))
    return banded.astype(np.float32), low.astype(np.float32)
