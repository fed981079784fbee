"""Attention statistics of every head of a ViT over the reference images.

Source: Raghu et al. 2021, section 4, Figures 3 and 4. One file a network; per minibatch tensors
`distance_px.<minibatch>`, `distance_renormalised_px.…`, `renormalised_share.…`, `prefix_mass.…`,
`entropy_nats.…` [images, blocks, heads], and once `offset_mass` [blocks, heads, 2h-1, 2w-1], all
float32. A query that attends to prefix tokens alone has no renormalised distance and is left out of
it; the share of those that have one stands beside it.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorShapes
from sightlines.dumps.attention_statistics import AttentionStatistics, uniform_px
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.passes import Rows, Watched
from sightlines.models.attention import (
    attention_modules,
    capture_attention,
    check_attention,
    prefix_tokens,
)

KIND = "attention"
READER = "sightlines.dumps.reading:AttentionDump"
NETWORKS = "plain"
FAMILIES = "ATTENTION"
TRANSFER = ("tuned",)
SPLITS = "reference"
PASS = "reference"
STATISTICS = (
    *("distance_px", "distance_renormalised_px", "renormalised_share"),
    *("prefix_mass", "entropy_nats"),
)
CHUNK_BYTES = 32 * 2**20
"""Attention probabilities held at once."""


def record(shown: Shown) -> Watched:
    """What every head looks at in every reference minibatch, and where attention goes over all."""
    meta = shown.describe() | describe_attention(shown)
    shapes, total = attention_shapes(meta), sum(meta["batch_sizes"])
    offset_mass = np.zeros(shapes["offset_mass"][1])

    def check() -> None:
        for images in shown.pixels("test", [shown.reference_minibatches()[0][:2]]):
            check_attention(shown.model, images)

    @contextlib.contextmanager
    def watch(minibatch: Minibatch, images: torch.Tensor) -> Iterator[Rows]:
        rows: Rows = {}
        with watch_attention(shown, images, meta) as blocks:
            yield rows
        rows["offset_mass"] = _stack(blocks, "offset_mass", axis=0) * (len(images) / total)
        rows |= {f"{name}.{minibatch.name}": _stack(blocks, name, axis=1) for name in STATISTICS}

    def add(rows: Rows) -> None:
        nonlocal offset_mass
        offset_mass += rows.pop("offset_mass")

    return Watched(
        shapes=shapes,
        meta=meta,
        minibatches=shown.reference(),
        begin=check,
        watch=watch,
        add=add,
        rest=lambda: [("offset_mass", offset_mass)],
    )


def describe_attention(shown: Shown) -> dict[str, Any]:
    """The dump's own facts: grid of patches, patch side, blocks, heads, uniform distance.

    Raises:
        ResultError: the network has no attention, or blocks with different numbers of heads.
    """
    modules: list[Any] = attention_modules(shown.model)
    heads = {int(module.num_heads) for module in modules}
    if len(heads) != 1:
        raise ResultError(f"{shown.network.slug} has blocks with {sorted(heads)} heads: no dump")
    grid = tuple(int(side) for side in shown.card["grid"])
    patch_px = shown.card["size_px"] // grid[0]
    return {
        "grid": list(grid),
        "patch_px": patch_px,
        "prefix_tokens": prefix_tokens(shown.model),
        "blocks": len(modules),
        "heads": heads.pop(),
        "uniform_px": uniform_px((grid[0], grid[1]), patch_px),
    }


def attention_shapes(meta: dict[str, Any]) -> TensorShapes:
    """The file's tensors, in order."""
    heads = (meta["blocks"], meta["heads"])
    height, width = meta["grid"]
    per_image = {
        f"{name}.{index:03d}": ("F32", (images, *heads))
        for index, images in enumerate(meta["batch_sizes"])
        for name in STATISTICS
    }
    return per_image | {"offset_mass": ("F32", (*heads, 2 * height - 1, 2 * width - 1))}


@contextlib.contextmanager
def watch_attention(
    shown: Shown, images: torch.Tensor, meta: dict[str, Any]
) -> Iterator[list[AttentionStatistics]]:
    """Statistics of every block for one minibatch, formed while the network runs in the block.

    Args:
        shown: The network.
        images: Normalised pixels [n, 3, height, width].
        meta: From `describe_attention`.

    Raises:
        ResultError: a block's attention is not finite.
    """
    grid, prefix = tuple(meta["grid"]), meta["prefix_tokens"]
    shape = (len(images), meta["heads"], grid, meta["patch_px"], prefix)
    blocks = [AttentionStatistics(*shape) for _ in range(meta["blocks"])]
    tokens = prefix + grid[0] * grid[1]
    chunk = max(CHUNK_BYTES // (4 * len(images) * meta["heads"] * tokens), 1)

    def take(block: int, attention: torch.Tensor, first_query: int) -> None:
        blocks[block].add(attention, first_query)

    with capture_attention(shown.model, take, chunk):
        yield blocks
    for index, block in enumerate(blocks):
        if not block.is_finite:
            raise ResultError(
                f"attention of block {index} of {shown.network.slug} is not finite: its training "
                "has diverged; lower train.learning_rate"
            )


def _stack(blocks: list[AttentionStatistics], name: str, axis: int) -> np.ndarray:
    return torch.stack([getattr(block, name) for block in blocks], dim=axis).numpy()
