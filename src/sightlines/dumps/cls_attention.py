"""Where the class token looks: its attention in every head, and rollout through the blocks.

Sources: Caron et al. 2021 (DINO), Figure 4; Dosovitskiy et al. 2020 (ViT), appendix D.8; Abnar and
Zuidema 2020. One file a network, of the first reference images. Per minibatch, float32:
`attention.<minibatch>` [images, blocks, heads, patches], softmax attention of the class token to
the patches, before it is renormalised over them; `rollout.…` [images, blocks, patches], the class
token's row of the product of all blocks up to this one (`dumps/rollout.py`); `own.…` [images,
blocks], what it keeps of itself; `weighted.…`, the rollout with identity and attention weighted by
the norms of skip and branch of every token, where these are known; `brightness.…` [images,
patches], mean luminance. Networks without a class token: means over the patches' rows; then the
patches' own share, which takes no attention, is taken off the rollout.

Where it is known where the objects are: `objects` [masks, patches] and `valid` [images, patches],
pixels of each patch that are the object's, and that are labelled, and `mask_image` [masks], the
image of each mask. `pictures` [images, side, side, 3] uint8 are the first few images, about 112
px wide where the network sees more.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorShapes
from sightlines.datasets.photograph_masks import VOID
from sightlines.dumps.attention import CHUNK_BYTES, describe_attention
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.object_labels import Labels, label_maps
from sightlines.dumps.passes import Rows, Watched
from sightlines.dumps.rollout import Rollout, norm_ratio
from sightlines.models.attention import (
    attention_modules,
    capture_attention,
    check_attention,
    has_class_token,
)
from sightlines.models.branches import capture_branches, find_branches
from sightlines.stats.cells import cells_of, sums

KIND = "cls_attention"
READER = "sightlines.dumps.cls_attention_reading:ClsAttentionDump"
NETWORKS = "compared"
FAMILIES = "PLAIN_ATTENTION"
SPLITS = "reference"
PASS = "reference"
USES = ("attention_maps",)
BESIDE = ("masks",)
PICTURE_PX = 112
"""Pictures of photographs are shown about so wide."""
LUMINANCE = (0.299, 0.587, 0.114)
"""Shares of red, green and blue (ITU-R BT.601)."""


def record(shown: Shown, attention_maps: Mapping[str, int], masks: Path | None = None) -> Watched:
    """Attention and rollout of the class token, for the first reference images.

    Args:
        shown: The network.
        attention_maps: The config's: `images`, and of those the `pictures`.
        masks: The list of the photographs' masks, where there is one.
    """
    labels = label_maps(shown, masks)
    wanted = attention_maps["images"] if labels else attention_maps["pictures"]
    minibatches = first_minibatches(shown.reference(), wanted)
    is_weighted = bool(_attention_branches(shown))
    meta = describe(shown, minibatches, attention_maps["pictures"])
    meta |= {"is_weighted": is_weighted, "has_masks": bool(labels)}
    objects = known_objects(shown, labels, minibatches, meta["grid"]) if labels else {}
    pictures: list[np.ndarray] = []

    def check() -> None:
        for images in shown.pixels("test", [shown.reference_minibatches()[0][:2]]):
            check_attention(shown.model, images)

    @contextlib.contextmanager
    def watch(minibatch: Minibatch, images: torch.Tensor) -> Iterator[Rows]:
        rows: Rows = {}
        with watch_class_token(shown, len(images), minibatch.kept, meta) as found:
            yield rows
        rows |= {f"{n}.{minibatch.name}": v for n, v in found.items()}
        levels = _levels(shown, images[: minibatch.kept])
        rows[f"brightness.{minibatch.name}"] = brightness(levels, meta["grid"])
        missing = meta["pictures"] - sum(map(len, pictures))
        if missing > 0:
            pictures.append(_picture(levels[:missing], meta["picture_px"]))

    def rest() -> Iterable[tuple[str, np.ndarray]]:
        yield from objects.items()
        none = np.empty((0, *picture_shapes(meta)["pictures"][1][1:]), np.uint8)
        yield "pictures", np.concatenate([none, *pictures])

    return Watched(
        shapes={
            **map_shapes(meta, minibatches),
            **objects_shapes(objects),
            **picture_shapes(meta),
        },
        meta=meta,
        minibatches=minibatches,
        begin=check,
        watch=watch,
        rest=rest,
    )


def first_minibatches(minibatches: list[Minibatch], images: int) -> list[Minibatch]:
    """The first minibatches of so many images; of the last of them, the first are kept."""
    found, left = [], images
    for each in minibatches:
        if left > 0:
            kept = min(left, len(each.images))
            found.append(Minibatch(each.name, each.split, each.images, kept))
            left -= kept
    return found


def describe(shown: Shown, minibatches: list[Minibatch], pictures: int) -> dict[str, Any]:
    """The dump's own facts, with those of the attention dump."""
    size = shown.card["size_px"]
    fitting = [k for k in range(1, size // PICTURE_PX + 1) if size % k == 0]
    kept = [minibatch.kept for minibatch in minibatches]
    return (
        shown.describe()
        | describe_attention(shown)
        | {
            "kept": kept,
            "has_class_token": has_class_token(shown.model),
            "pictures": min(pictures, sum(kept)),
            "picture_px": size // max(fitting, default=1),
        }
    )


def map_shapes(meta: dict[str, Any], minibatches: list[Minibatch]) -> TensorShapes:
    """The tensors of each minibatch, in order."""
    patches = meta["grid"][0] * meta["grid"][1]
    each = {
        "attention": (meta["blocks"], meta["heads"], patches),
        "rollout": (meta["blocks"], patches),
        "own": (meta["blocks"],),
    }
    each |= {"weighted": (meta["blocks"], patches)} if meta["is_weighted"] else {}
    each |= {"brightness": (patches,)}
    return {
        f"{name}.{minibatch.name}": ("F32", (minibatch.kept, *shape))
        for minibatch in minibatches
        for name, shape in each.items()
    }


def objects_shapes(objects: Mapping[str, np.ndarray]) -> TensorShapes:
    """The tensors of what is known of the objects."""
    codes = {"objects": "I32", "valid": "I32", "mask_image": "I64"}
    return {name: (codes[name], values.shape) for name, values in objects.items()}


def picture_shapes(meta: dict[str, Any]) -> TensorShapes:
    """The tensor of pictures."""
    return {"pictures": ("U8", (meta["pictures"], meta["picture_px"], meta["picture_px"], 3))}


# -- the network ------------------------------------------------------------------------------


@contextlib.contextmanager
def watch_class_token(
    shown: Shown, images: int, kept: int, meta: Mapping[str, Any]
) -> Iterator[dict[str, np.ndarray]]:
    """Attention and rollout of one minibatch, formed while the network runs in the block.

    One block's attention [kept, tokens, tokens] is held at a time, and the product of the blocks
    before.

    Args:
        shown: The network.
        images: In the minibatch.
        kept: So many of the first are recorded.
        meta: From `describe`.

    Yields:
        The tensors by name; there are any when the block has ended.

    Raises:
        ResultError: a block's attention is not finite.
    """
    prefix, heads = meta["prefix_tokens"], meta["heads"]
    patches = meta["grid"][0] * meta["grid"][1]
    tokens, has_cls = prefix + patches, meta["has_class_token"]
    attention = np.empty((kept, meta["blocks"], heads, patches), np.float32)
    rollouts = {"rollout": Rollout(kept, tokens, prefix, has_cls, shown.device)}
    if meta["is_weighted"]:
        rollouts["weighted"] = Rollout(kept, tokens, prefix, has_cls, shown.device)
    maps: dict[str, list[np.ndarray]] = {name: [] for name in (*rollouts, "own")}
    held: dict[str, torch.Tensor] = {}

    def take(block: int, probabilities: torch.Tensor, first: int) -> None:
        if first == 0:
            held["mean"] = torch.empty(kept, tokens, tokens, device=probabilities.device)
            held["rows"] = torch.zeros(kept, heads, patches, device=probabilities.device)
        part = probabilities[:kept]
        last = first + part.shape[2]
        held["mean"][:, first:last] = part.mean(dim=1)
        if has_cls:
            held["rows"] = part[:, :, 0, prefix:] if first == 0 else held["rows"]
        else:
            begin = max(prefix - first, 0)
            held["rows"] = held["rows"] + part[:, :, begin:, prefix:].sum(dim=2) / patches
        if last == tokens:
            attention[:, block] = held["rows"].cpu().numpy()
            rollouts["rollout"].add(held["mean"], None)
            note("rollout")
            maps["own"].append(rollouts["rollout"].own().cpu().numpy())

    def weigh(_: int, skip: torch.Tensor, branch: torch.Tensor) -> None:
        rollouts["weighted"].add(held["mean"], norm_ratio(skip[:kept], branch[:kept]))
        note("weighted")

    def note(name: str) -> None:
        maps[name].append(rollouts[name].map().cpu().numpy())

    found: dict[str, np.ndarray] = {}
    chunk = max(CHUNK_BYTES // (4 * images * heads * tokens), 1)
    branches = _attention_branches(shown)
    with contextlib.ExitStack() as stack:
        stack.enter_context(capture_attention(shown.model, take, chunk))
        if branches:
            stack.enter_context(capture_branches(shown.model, branches, weigh))
        yield found
    found["attention"] = attention
    found |= {name: np.stack(values, axis=1) for name, values in maps.items()}
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise ResultError(
                f"{name} of {shown.network.slug} is not finite: its training has diverged; lower "
                "train.learning_rate"
            )


def _attention_branches(shown: Shown) -> list[Any]:
    """Where every block adds its attention to the skip connection; none where one does not."""
    found = [branch for branch in find_branches(shown.model)[0] if branch.name == "attn"]
    return found if len(found) == len(attention_modules(shown.model)) else []


# -- the images -------------------------------------------------------------------------------


def _levels(shown: Shown, images: torch.Tensor) -> np.ndarray:
    """Pixels from 0 to 1 [n, height, width, 3] of normalised ones."""
    mean, std = (
        torch.tensor(shown.card[key], device=images.device).view(1, 3, 1, 1)
        for key in ("mean", "std")
    )
    return (images * std + mean).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()


def brightness(levels: np.ndarray, grid: Iterable[int]) -> np.ndarray:
    """Mean luminance of each patch [n, patches] float32.

    Args:
        levels: Pixels from 0 to 1 [n, size, size, 3].
        grid: Rows and columns of patches.
    """
    rows, columns = grid
    cells = cells_of(levels.shape[1], (rows, columns))
    luminance = levels.astype(np.float64) @ np.array(LUMINANCE)
    count = np.bincount(cells, minlength=rows * columns)
    return (sums(luminance.reshape(len(levels), -1), cells, rows * columns) / count).astype(
        np.float32
    )


def _picture(levels: np.ndarray, side: int) -> np.ndarray:
    """Images [n, side, side, 3] uint8, means over squares of pixels."""
    step = levels.shape[1] // side
    squares = levels.reshape(len(levels), side, step, side, step, 3).mean(axis=(2, 4))
    return np.rint(255 * squares).astype(np.uint8)  # type: ignore[no-any-return]


# -- masks ------------------------------------------------------------------------------------


def known_objects(
    shown: Shown, labels: Labels, minibatches: list[Minibatch], grid: Iterable[int]
) -> dict[str, np.ndarray]:
    """Pixels of every patch that are an object's, mask by mask, and that are labelled.

    Objects of which the network sees nothing have no mask.

    Raises:
        DataError: a mask is missing or was edited.
        ResultError: the network sees no object at all.
    """
    rows, columns = grid
    cells = cells_of(shown.card["size_px"], (rows, columns))
    chosen = [int(i) for each in minibatches for i in each.images[: each.kept]]
    objects, of, valid = [], [], []
    for place, image in enumerate(chosen):
        label = labels(image).ravel()
        values = [
            v for v in np.flatnonzero(np.bincount(label, minlength=256)) if v not in (0, VOID)
        ]
        parts = np.stack([label != VOID, *(label == value for value in values)]).astype(np.float64)
        counts = sums(parts, cells, rows * columns).astype(np.int32)
        valid.append(counts[0])
        objects += list(counts[1:])
        of += [place] * len(values)
    if not objects:
        raise ResultError(
            f"{shown.network.slug} sees no object: all masks are empty where it looks"
        )
    return {"objects": np.stack(objects), "valid": np.stack(valid), "mask_image": np.array(of)}
