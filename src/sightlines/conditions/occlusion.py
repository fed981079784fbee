"""Occlusion and shuffling: cells of an image are dropped, or change places.

Source: Naseer et al. 2021, sections 3.1 to 3.3, appendices A and B. A grid of cells lies over the
image as the network sees it, so that a ViT and a ResNet are shown the same pixels; a share of the
cells is filled, black as in the paper or with the mean colour. Cells are drawn anew for every
image; the same ones are drawn for every fill and for the shifted grid.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from sightlines.conditions.cells import (
    as_masks,
    count_of,
    draw_cells,
    edges,
    fill,
    permutations,
    permute,
    shares,
)
from sightlines.conditions.condition import (
    Condition,
    ImageFacts,
    Indices,
    Masks,
    Number,
    Pixels,
    generators,
)

BLACK = (0.0, 0.0, 0.0)
OBJECT_SHARE = 0.5
"""Share of a cell from which on it counts as the object's."""
PARTS = ("object", "anywhere", "ground")
"""Cells that are dropped in equal numbers: the object's, any, and those without object."""


def conditions(settings: Mapping[str, Any], facts: ImageFacts) -> list[Condition]:
    """What a config asks for.

    ``drop_black``, ``drop_mean``: cells of the own grid; ``drop_shifted``: of the grid that is
    shifted by half a cell, black; ``drop_grid<n>``: of another grid, black; ``drop_object``,
    ``drop_anywhere``, ``drop_ground``: equal numbers of cells by the true mask, black, severity
    1; ``shuffle``: cells change places, severity is how many there are along a side (those that
    divide it, and the own grid's). All other severities are shares of the cells.

    Args:
        settings: `conditions.occlusion` of the config, with the number of `cells` along a side.
        facts: Of the images.
    """
    cells = settings["cells"]
    sizes = [n for n in sorted({*settings["shuffle_cells"], cells}) if facts.size_px % n == 0]
    found = [
        *(Condition("drop_black", s, partial(_drop, cells, s)) for s in settings["shares"]),
        *_of_fill(settings, facts),
        *(
            Condition("drop_shifted", s, partial(_drop, cells, s, shift=True))
            for s in settings["shifted_shares"]
        ),
        *(
            Condition(f"drop_grid{n}", s, partial(_drop, n, s))
            for n in settings["other_cells"]
            for s in settings["other_shares"]
            if n != cells
        ),
        *(Condition("shuffle", n, partial(_shuffle, n)) for n in sizes),
    ]
    if settings["parts"] and facts.masks is not None:
        found += [Condition(f"drop_{p}", 1, partial(_drop_part, cells, p, facts)) for p in PARTS]
    if facts.attention is not None:
        found += [
            Condition(name, share, partial(_drop_looked_at, cells, share, facts, sign))
            for share in settings["salient_shares"]
            for name, sign in (("drop_salient", -1), ("drop_unsalient", 1))
        ]
    return found


def _of_fill(settings: Mapping[str, Any], facts: ImageFacts) -> Iterator[Condition]:
    for share in settings["mean_shares"]:
        change = partial(_drop, settings["cells"], share, colour=facts.mean)
        yield Condition("drop_mean", share, change)


def _drop(
    cells: int,
    share: Number,
    pixels: Pixels,
    indices: Indices,
    seed: int,
    *,
    colour: tuple[float, ...] = BLACK,
    shift: bool = False,
) -> Pixels:
    """Fill a share of the cells.

    A shifted grid goes on at the opposite edge, so that as many pixels are filled and each is as
    likely as any other; Naseer's code never masks the first half cell, and cuts the last.
    """
    size = pixels.shape[1]
    masks = as_masks(draw_cells(seed, f"drop {cells}", share, indices, cells), size)
    if shift:
        half = edges(size, cells)[1] // 2
        masks = np.roll(masks, (half, half), axis=(1, 2))
    return fill(pixels, masks, colour)


def _drop_part(
    cells: int, part: str, facts: ImageFacts, pixels: Pixels, indices: Indices, seed: int
) -> Pixels:
    """Drop the object's cells, or as many of others."""
    assert facts.masks is not None
    chosen = cells_of_part(facts.masks(indices), cells, part, indices, seed)
    return fill(pixels, as_masks(chosen, pixels.shape[1]), BLACK)


def cells_of_part(masks: Masks, cells: int, part: str, indices: Indices, seed: int) -> np.ndarray:
    """Cells of a part of each image [images, cells²], as many whichever part it is.

    Args:
        masks: Where the object is.
        cells: Along a side.
        part: ``object``: cells of which it covers half or more, or else the one that it covers
            most; none where it is not seen; ``ground``: of those that it covers least, at random;
            ``anywhere``: at random.
        indices: Place of each image in its split.
        seed: The experiment's root seed.
    """
    own = shares(masks, cells)
    is_object = own >= OBJECT_SHARE
    rows = np.arange(len(own))
    is_object[rows, own.argmax(axis=1)] |= ~is_object.any(axis=1) & own.any(axis=1)
    if part == "object":
        return is_object
    chosen = np.zeros_like(is_object)
    for row, draws in enumerate(generators(seed, f"drop {part} {cells}", 1, indices)):
        order = draws.permutation(cells**2)
        if part == "ground":
            order = order[np.argsort(own[row, order], kind="stable")]
        chosen[row, order[: is_object[row].sum()]] = True
    return chosen


def _drop_looked_at(
    cells: int,
    share: Number,
    facts: ImageFacts,
    sign: int,
    pixels: Pixels,
    indices: Indices,
    seed: int,
) -> Pixels:
    """Drop the cells with most attention (sign -1) or least (1); of equal ones the first."""
    del seed
    assert facts.attention is not None
    order = np.argsort(sign * facts.attention(indices), axis=1, kind="stable")
    chosen = np.zeros(order.shape, bool)
    np.put_along_axis(chosen, order[:, : count_of(share, cells)], True, axis=1)
    return fill(pixels, as_masks(chosen, pixels.shape[1]), BLACK)


def _shuffle(cells: int, pixels: Pixels, indices: Indices, seed: int) -> Pixels:
    return permute(pixels, permutations(seed, "shuffle", cells, indices, cells**2))
