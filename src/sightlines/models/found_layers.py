"""The layers of a network that no table knows, and what it does, out of one traced forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from sightlines.core.errors import ConfigError
from sightlines.models import places as along_with
from sightlines.models.found_blocks import Found, find, has_branches, is_below
from sightlines.models.layers import Layer, PlacedLayer
from sightlines.models.placed_attention import PlacedSite, placed_sites
from sightlines.models.tracing import Output, Site, Trace, trace

ROLES = ("vit", "resnet", "mixer", "hierarchical", "hybrid", "other")
"""What a network does, in one word: see `role_of`."""


@dataclass(frozen=True)
class Seen:
    """What one forward pass showed of a network.

    Attributes:
        layers: Stem, blocks and last norm, in order.
        grid: Rows and columns of the last block's places.
        centres: As in `timm_blocks.Traits`.
        reads_maps: Whether tokens come as maps, without those that have no place.
        prefix: Tokens without a place before the others; 0 where `reads_maps`.
        role: One of `ROLES`.
        trace: What it is from.
        block_paths: Paths of the blocks' modules.
    """

    layers: list[Layer]
    grid: tuple[int, int]
    centres: str
    reads_maps: bool
    prefix: int
    role: str
    trace: Trace
    block_paths: list[str]

    has_prefix: bool = False
    """Whether some block has tokens without a place."""
    attends_alike: bool = False
    """Whether every block has one attention, of as many heads, over all of the same places."""

    @property
    def is_plain(self) -> bool:
        """Whether every block has one attention, of as many heads, over the same tokens."""
        return self.attends_alike and not (self.reads_maps and self.has_prefix)


def look(
    model: nn.Module, size_px: int, extra: Sequence[str] = (), prefix: int | None = None
) -> Seen:
    """Find a network's layers.

    Args:
        model: In evaluation mode; it may lie on torch's meta device.
        size_px: Side of the images.
        extra: Modules that end a block, as the network says of itself.
        prefix: Tokens before the patches', as it says.

    Raises:
        LookupError: no block was found.
    """
    has_numbers = not any(p.is_meta for p in model.parameters())
    for is_real in (False, True):
        seen = traced(model, size_px, is_real)
        found = find(seen, extra)
        blocks = [each for each in found if each.kind == "block"]
        if blocks or not (seen.asks_numbers and has_numbers):
            break
    if not blocks:
        raise LookupError(
            f"the blocks of {type(model).__name__} were not found: set `layers` of the model to "
            "the modules to look at"
        )
    reads_maps = not _is_raster(found, blocks, prefix)
    last = blocks[-1].grid
    assert last is not None
    return Seen(
        layers=list(_layers(found, reads_maps)),
        grid=(last.rows, last.columns),
        centres=_centres(found, size_px),
        reads_maps=reads_maps,
        prefix=0 if reads_maps else last.prefix,
        role=role_of(seen, found),
        trace=seen,
        block_paths=[each.path for each in blocks],
        has_prefix=any(each.grid is not None and each.grid.prefix > 0 for each in blocks),
        attends_alike=_attends_alike(seen, blocks),
    )


def traced(model: nn.Module, size_px: int, is_real: bool = False) -> Trace:
    """A forward pass without numbers; with them where a model asks for one, or `is_real`.

    Raises:
        ConfigError: the model is scripted, or computes in a way that cannot be seen.
    """
    refuse_scripted(model)
    was_training = model.training
    try:
        return trace(model.eval(), size_px, is_real=is_real)
    except (RuntimeError, NotImplementedError) as error:
        if any(p.is_meta for p in model.parameters()):
            raise ConfigError(
                f"{type(model).__name__} cannot be run on images of {size_px} px: "
                f"{type(error).__name__}: {error}. Set size_px to a side that it takes"
            ) from error
        return trace(model, size_px, is_real=True)
    finally:
        model.train(was_training)


def refuse_scripted(model: nn.Module) -> None:
    """Refuse what no hook sees into.

    Raises:
        ConfigError: naming the module and the cure.
    """
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise ConfigError(
                f"{path or type(model).__name__} is a scripted module (torch.jit), of which "
                "nothing is seen inside: build the network without scripting it"
            )


def uncompiled(model: nn.Module) -> nn.Module:
    """The network below `torch.compile`, with its compiled parts as they were before."""
    model = getattr(model, "_orig_mod", model)
    for module in [*model.modules()]:
        for name, child in [*module.named_children()]:
            inner = getattr(child, "_orig_mod", None)
            if isinstance(inner, nn.Module):
                setattr(module, name, inner)
        vars(module).pop("_compiled_call_impl", None)
    return model


# -- layers --------------------------------------------------------------------------------


def _is_raster(found: Sequence[Found], blocks: Sequence[Found], prefix: int | None) -> bool:
    """Whether all blocks give tokens of one grid in one raster, after as many without a place."""
    last = blocks[-1].grid
    assert last is not None
    for each in found:
        grid, is_tokens = each.grid, len(each.output.shape) == 3
        if each.kind == "class":
            continue
        if grid is None or (grid.rows, grid.columns) != (last.rows, last.columns):
            return False
        if each.kind == "embed":
            continue
        if not is_tokens or grid.axes != (1,) or grid.order or grid.prefix != last.prefix:
            return False
    return prefix is None or prefix == last.prefix


def _layers(found: Sequence[Found], reads_maps: bool) -> Any:
    counts = {"block": 0, "class": 0, "embed": 0, "norm": 0}
    embeds = sum(each.kind == "embed" for each in found)
    for each in found:
        index = counts[each.kind]
        counts[each.kind] += 1
        name, kind, block = {
            "block": (f"block{index:02d}.out", "residual", index),
            "class": (f"class{index:02d}.out", "class", -1),
            "embed": ("stem" if embeds == 1 else f"stem{index}", "embed", -1),
            "norm": ("norm" if not index else f"norm{index}", "norm", -1),
        }[each.kind]
        layer = PlacedLayer(name, kind, block, each.path, pick=each.output.pick)
        grid = each.grid
        is_kept = grid is None or (not reads_maps and len(each.output.shape) == 3)
        is_kept = is_kept and not (grid and (grid.order or grid.axes != (1,)))
        if not is_kept and grid is not None:
            note = f"{grid.prefix} tokens without a place are left out" if grid.prefix else ""
            layer = replace(
                layer, grid=(grid.rows, grid.columns), axes=grid.axes, order=grid.order, note=note
            )
        yield layer


def _centres(found: Sequence[Found], size_px: int) -> str:
    """Where the locations of maps are centred, if all agree; else in the middle of their cells."""
    words = set()
    for each in found:
        places = each.output.places
        if each.grid is None or places is None:
            return "middle"
        y = along_with.decoded(along_with.squeezed(places.own[0]).flatten())[1]
        stride = size_px / each.grid.rows
        first = float(y[~y.isnan()].min())
        near = {"start": 0.5, "middle": stride / 2, "end": stride - 0.5}
        words.add(min(near, key=lambda word: abs(near[word] - first)))
        if abs(min(near.values(), key=lambda v: abs(v - first)) - first) > 0.25:
            return "middle"
    return words.pop() if len(words) == 1 else "middle"


# -- attention -----------------------------------------------------------------------------


def attention_of(model: nn.Module, size_px: int) -> tuple[list[PlacedSite], dict[str, str]]:
    """Attentions between places of the image, and softmaxes that are none, by module, with why.

    Raises:
        ConfigError: the network attends by a kernel of which nothing is seen.
    """
    known = vars(model).get("attended")
    if known is not None and known[0] == size_px:
        return known[1], known[2]
    seen = vars(model).get("found")
    found: Trace = seen.trace if isinstance(seen, Seen) else traced(uncompiled(model), size_px)
    refuse_kernels(found)
    sites, others = placed_sites(found.sites, size_px)
    others = dict(found.others) | others
    vars(model)["attended"] = size_px, sites, others
    return sites, others


def refuse_kernels(found: Trace) -> None:
    """Refuse attention of which no probabilities can be told.

    Raises:
        ConfigError: naming the kernels and the cure.
    """
    kernels = [k for k in dict.fromkeys(found.kernels) if "attention" in k or "attn" in k]
    if kernels:
        raise ConfigError(
            f"attention is computed by {', '.join(kernels)}, which shows no probabilities: build "
            "the network with torch's scaled_dot_product_attention or with plain products "
            "(transformers: attn_implementation: sdpa or eager)"
        )


# -- what a network does -------------------------------------------------------------------


def role_of(seen: Trace, found: Sequence[Found]) -> str:
    """What a network does, in one word.

    ``vit``: one softmax attention over all places in every block, all of one grid. ``mixer``: no
    attention, no convolution after the patches, and layers that mix places. ``resnet``: mostly
    convolutions, no attention of any kind. ``hierarchical``: attention in most blocks, on several
    grids or in windows. ``hybrid``: attention in some blocks and convolutions in others, also
    linear attention, attention over channels and mixing by a state space (`Trace.mixings`); or
    attention in every block, behind a stem of convolutional blocks (Dosovitskiy et al. 2021,
    section 3.1, "Hybrid Architecture").
    """
    blocks = [each for each in found if each.kind == "block"]
    if _attends_alike(seen, blocks):
        return "hybrid" if has_branches(seen, before=blocks[0].path) else "vit"
    with_attention = [sites_within(each, seen.sites) for each in blocks]
    share = sum(bool(own) for own in with_attention) / max(len(blocks), 1)
    grids = _grids(blocks)
    kernels = _kernels(blocks)
    if not share:
        is_mixed = any(is_below(each.path, path) for path in seen.mixings for each in blocks)
        if is_mixed:
            return "hybrid" if kernels else "other"
        if kernels >= 0.5:
            return "resnet"
        has_attention = seen.sites or _others(seen, blocks)
        return "mixer" if len(grids) == 1 and not has_attention else "other"
    if share > 0.5 and (kernels < 1 or len(grids) > 1) and _attends_early(with_attention):
        return "hierarchical"
    return "hybrid"


def _attends_alike(seen: Trace, blocks: Sequence[Found]) -> bool:
    with_attention = [sites_within(each, seen.sites) for each in blocks]
    is_one = all(with_attention) and len(_grids(blocks)) == 1
    return is_one and _is_global(with_attention, blocks, seen.size_px)


def _grids(blocks: Sequence[Found]) -> set[tuple[int, int]]:
    return {(each.grid.rows, each.grid.columns) for each in blocks if each.grid}


def _attends_early(with_attention: Sequence[Sequence[Site]]) -> bool:
    return any(with_attention[: max(len(with_attention) // 4, 1)])


def _others(seen: Trace, blocks: Sequence[Found]) -> bool:
    return any(is_below(each.path, path) for path, _ in seen.others for each in blocks)


def _kernels(blocks: Sequence[Found]) -> float:
    """Share of blocks that convolve over places."""

    def convolves(module: nn.Module) -> bool:
        return any(isinstance(m, nn.Conv2d) and max(m.kernel_size) > 1 for m in module.modules())

    return sum(convolves(each.module) for each in blocks) / max(len(blocks), 1)


def sites_within(block: Found, sites: Sequence[Site]) -> list[Site]:
    """Attentions that a block's module computes."""
    return [s for s in sites if is_below(block.path, s.module)]


def _is_global(
    with_attention: Sequence[Sequence[Site]], blocks: Sequence[Found], size_px: int
) -> bool:
    """Whether each block has one attention, of as many heads, between all places that it gives."""
    heads = set()
    for own, each in zip(with_attention, blocks, strict=True):
        placed, _ = placed_sites(own, size_px)
        if len(placed) != 1 or len(own) != 1 or len(placed[0].queries) != 1 or each.grid is None:
            return False
        tokens = each.grid.rows * each.grid.columns + each.grid.prefix
        if own[0].shape[placed[0].query_axis] != tokens:
            return False
        if own[0].shape[placed[0].key_axis] != tokens:
            return False
        heads.add(placed[0].heads)
    return len(heads) == 1


def output_places(output: Output) -> Any:
    """Row and column in px of each number of one tensor, for tests and notebooks."""
    assert output.places is not None
    return along_with.decoded(output.places.own)[1:]
