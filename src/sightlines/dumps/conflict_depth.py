"""How far down a network notices that an image's outline or surface is another one's.

Images whose outline and surface are of different classes (cue conflicts, Geirhos et al. 2019) are
shown as they are and with one of both cues changed: `other_texture`, the same outline with another
surface; `other_shape`, the same surface in another outline. Where a layer's CKA is nearer to 1
under the first than under the second, it goes by outlines.

Of generated images nothing else is changed (`datasets.shapes_conflicts`). Of photographs, named
`<shape><n>-<texture><n>.png`, an image's partner has the same `<shape><n>` or the same
`<texture><n>` and another category of the other cue, drawn by the image's place; those without both
partners are left out.

Kept is what `dumps.condition_depth` keeps of changed images, of at most MINIBATCHES minibatches of
one size, which differ by one image at most: the jackknife's groups.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from sightlines.core.errors import DataError
from sightlines.core.files import TensorFile
from sightlines.core.progress import Progress
from sightlines.core.seeds import generator
from sightlines.datasets.cue_conflicts import NAMED
from sightlines.datasets.shapes_conflicts import OTHER_SHAPE, OTHER_TEXTURE, changed_conflicts
from sightlines.dumps.arrays import seen
from sightlines.dumps.condition_depth import depth_shapes, described_rows, dots, grams
from sightlines.dumps.conflicts import photographs
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.responses import Change
from sightlines.models.layers import block_outputs

KIND = "conflict_depth"
READER = "sightlines.dumps.conflict_depth_reading:ConflictDepthDump"
NETWORKS = "first_seed"
SPLITS = "conflicts"
"""File of `data/` that says which images are shown."""
USES = ("seed", "dataset")
CONDITIONS = "conflict"
"""The block of the config's `conditions` whose settings these are."""
ASKED = "depth"
"""Key of that block without which there is no such dump."""
MINIBATCHES, LEAST = 10, 8
"""Minibatches, and images of each at least: unbiased HSIC needs four."""


def record(
    shown: Shown, seed: int, dataset: Mapping[str, Any], conditions: Mapping[str, Any]
) -> TensorFile:
    """Similarity of cue conflicts as they are and with one cue changed, of all blocks.

    Args:
        shown: The network, with what `data/conflicts.safetensors` lists.
        seed: The experiment's root seed.
        dataset: Settings of its images.
        conditions: Which changes, as `depth`, and how many `images` at most.

    Raises:
        DataError: too few images have both partners, or a photograph cannot be read.
        ResultError: activations are not finite.
    """
    listed, which = shown.splits.meta, list(conditions["depth"])
    count = shown.splits.shape("shape.conflict")[0]
    usable = np.arange(count)
    found = dict[str, np.ndarray]()
    if listed["folder"]:
        found = partners(listed["paths"], seed)
        usable = np.flatnonzero(np.all([found[name] >= 0 for name in found], axis=0))
    chosen = generator(seed, "conflict depth").permutation(usable)[: conditions["images"]]
    if len(chosen) < LEAST:
        raise DataError(
            f"only {len(chosen)} of {count} images with a cue conflict have a partner of the same "
            f"shape and one of the same texture (needed: {LEAST}): add images to conflicts.folder "
            "(or raise dataset.n_conflict), or leave conditions.conflict.depth out"
        )
    minibatches = np.array_split(chosen, max(1, min(MINIBATCHES, len(chosen) // LEAST)))
    layers = block_outputs(shown.layers)

    def images(change: str, own: np.ndarray) -> torch.Tensor:
        if listed["folder"]:
            rows = found[change][own] if change else own
            return photographs(shown, listed, rows.tolist())
        return seen(shown, changed_conflicts(dataset, change, own))

    def sums() -> Iterator[tuple[str, np.ndarray]]:
        progress = Progress(len(minibatches), "minibatches")
        for index, own in enumerate(minibatches):
            minibatch = Minibatch(f"{index:03d}", "conflict", own, len(own))
            clean, *others = (
                grams(shown, Change(name or "clean", 0), layers, minibatch, images(name, own), seed)
                for name in ("", *which)
            )
            yield f"own.{index:03d}", dots(clean, clean)
            yield f"changed.{index:03d}", np.stack([dots(other, other) for other in others])
            yield f"cross.{index:03d}", np.stack([dots(clean, other) for other in others])
            progress.update(index + 1)

    meta: dict[str, Any] = {
        "network": list(shown.network),
        "batch_sizes": [len(own) for own in minibatches],
        "conditions": [[name, 1.0] for name in which],
        "rows": described_rows(layers),
    }
    shapes = depth_shapes(len(minibatches), len(which), len(meta["rows"]))
    return TensorFile(shapes, meta, sums())


def partners(paths: Sequence[str], seed: int) -> dict[str, np.ndarray]:
    """Place of the image that stands for each one with one cue changed; -1: there is none.

    Images whose outline and surface are of one category have no conflict: they have no partner and
    are none.

    Args:
        paths: Of photographs, named `<shape><n>-<texture><n>.png`.
        seed: The experiment's root seed.
    """
    names = [NAMED.fullmatch(path.rpartition("/")[2].rpartition(".")[0]) for path in paths]
    told = [match.groups() for match in names if match]
    assert len(told) == len(paths), "as `datasets.cue_conflicts` lists them"
    shapes, textures = ([(t[at], t[at + 1]) for t in told] for at in (0, 2))
    in_conflict = [one[0] != other[0] for one, other in zip(shapes, textures, strict=True)]
    found = {}
    for change, kept, other in (
        (OTHER_TEXTURE, shapes, textures),
        (OTHER_SHAPE, textures, shapes),
    ):
        same: dict[tuple[str, ...], list[int]] = {}
        for place in np.flatnonzero(in_conflict).tolist():
            same.setdefault(kept[place], []).append(place)
        found[change] = np.full(len(paths), -1)
        for place in np.flatnonzero(in_conflict).tolist():
            fit = [p for p in same[kept[place]] if other[p][0] != other[place][0]]
            if fit:
                draw = generator(seed, "conflict depth", change, place)
                found[change][place] = fit[int(draw.integers(len(fit)))]
    return found
