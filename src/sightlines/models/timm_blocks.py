"""Names the sub-layers of timm's models and says what they are, out of the table in `timm_table`.

Names and numbers are those of the package's own families where an architecture is the same. What
the table does not know is refused by name; `listed_layers` takes modules that somebody else lists.
"""

import copy
import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sightlines.models import mixer
from sightlines.models.attention import is_exact, prefix_tokens
from sightlines.models.found_blocks import has_branches
from sightlines.models.layers import Layer, capture
from sightlines.models.timm_matching import (
    below,
    class_name,
    find,
    is_there,
    joined,
    known_block,
    known_family,
)
from sightlines.models.timm_table import FAMILIES, Family, Part
from sightlines.models.tracing import trace

USUAL_PX = 224
POOLS = {"token": "cls", "avg": "gap"}


@dataclass(frozen=True)
class Traits:
    """What a model is.

    Attributes:
        role: What it does: ``vit``; ``resnet``, any known convolutional network; ``mixer``;
            ``hybrid``, a ViT behind convolutional blocks; ``other``. The paper compares the first
            three.
        pool: What a ViT classifies: ``cls``, its class token; ``gap``, the mean of the patch
            tokens; empty for anything else, and for other networks.
        attention: Whether `attention.capture_attention` sees every block's attention exactly.
        grid: Rows and columns of patch tokens, or of the last block's map.
        centres: Where location i of a map is centred: ``start``, on pixel i · stride (padded
            alike on both sides); ``end``, on i · stride + stride - 1 (TensorFlow's "same"
            padding of even sides); ``middle``, in the middle of its cell of the image.
    """

    role: str
    pool: str
    attention: bool
    grid: tuple[int, int]
    centres: str


def prepare(model: nn.Module) -> None:
    """Give timm's Mixer blocks the form of `models/mixer.py`: a module at the end of each branch.

    Weights, their names and the model's output stay the same to the bit; other models stay as
    they are.
    """
    for module in model.modules():
        names = {class_name(cls) for cls in type(module).__mro__}
        if "timm.models.mlp_mixer.MixerBlock" in names and not hasattr(module, "drop_path1"):
            block: Any = module
            block.__class__ = mixer.block_class()
            block.drop_path1, block.drop_path2 = block.drop_path, copy.deepcopy(block.drop_path)
            del block.drop_path


def layers(model: nn.Module) -> list[Layer]:
    """The sub-layers in the order in which they compute; a block's last is named ``….out``.

    Raises:
        LookupError: the model's class, or that of one of its blocks, is not known.
    """
    family = known_family(model)
    found, index = _layers(model, family.stem, "", "", -1), 0
    for path, module in model.named_modules():
        stage = re.fullmatch(family.stages, path)
        if stage and not isinstance(module, nn.Identity):
            found += _layers(module, family.entry, path, f"stage{int(stage[1]):02d}.", -1)
        elif re.fullmatch(family.blocks, path):
            found += _layers(module, known_block(module).parts, path, f"block{index:02d}.", index)
            index += 1
    return found + _layers(model, family.tail, "", "", -1)


def listed_layers(model: nn.Module, names: Sequence[str]) -> list[Layer]:
    """Modules of any model, each as the output of a block of its own, named by its path.

    Where the model says that it hands on maps with channels last, they are turned.

    Raises:
        LookupError: a name is listed twice, or the model has no such modules; the nearest are told.
    """
    known = dict(model.named_modules())
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LookupError(f"{twice} are listed more than once")
    missing = [name for name in names if not name or name not in known]
    if missing:
        near = {name: difflib.get_close_matches(name, known, n=3, cutoff=0.0) for name in missing}
        told = "; ".join(f"{name!r} (nearest: {', '.join(near[name])})" for name in missing)
        raise LookupError(f"{type(model).__name__} has no modules {told}")
    layout = "nhwc" if getattr(model, "output_fmt", "") == "NHWC" else ""
    return [Layer(name, "residual", i, name, layout=layout) for i, name in enumerate(names)]


def blocks(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Path and module of every block, in order.

    Raises:
        LookupError: the model's class is not known.
    """
    pattern = known_family(model).blocks
    return [(path, m) for path, m in model.named_modules() if re.fullmatch(pattern, path)]


def traits(
    model: nn.Module, size_px: int | None = None, layers: Sequence[Layer] | None = None
) -> Traits:
    """What a model is. Needs no numbers: its weights may lie on torch's meta device.

    Args:
        model: Any model of timm's.
        size_px: Side of the images; by default what the model says, else 224.
        layers: Of a model that is not known, what `listed_layers` gave; the last one's map or
            tokens are the grid. By default what timm calls its last features.

    Raises:
        LookupError: an unknown model without features whose tokens or map could be counted.
    """
    family = find(FAMILIES, model)
    size = size_px or _size(model)
    if family is not None and family.has_tokens:
        grid = _patch_grid(model, size)
    else:
        grid = _last_grid(model, size, _last_layer(model, layers, family is not None))
    is_vit = family is not None and family.role == "vit"
    attentions = [getattr(block, "attn", None) for _, block in blocks(model)] if is_vit else []
    return Traits(
        role="hybrid" if is_vit and _is_hybrid(model, size) else family.role if family else "other",
        pool=POOLS.get(str(getattr(model, "global_pool", "")), "") if is_vit else "",
        attention=bool(attentions) and all(is_exact(module) for module in attentions),
        grid=grid,
        centres=_centres(model, family),
    )


def _is_hybrid(model: Any, size_px: int) -> bool:
    """Whether a ViT's tokens are cut of what convolutional blocks give, not of the image.

    A stem of plain convolutions, one after the other, cuts the image.
    """
    backbone = getattr(getattr(model, "patch_embed", None), "backbone", None)
    if backbone is None:
        return False
    was_training = backbone.training
    try:
        return has_branches(trace(backbone.eval(), size_px))
    finally:
        backbone.train(was_training)


def _layers(
    owner: nn.Module, parts: Sequence[Part], path: str, name: str, block: int
) -> list[Layer]:
    """Layers of one block, stage or model."""
    found = []
    for part in parts:
        if not is_there(owner, part.needs):
            continue
        own = below(owner, part.path)
        module = owner.get_submodule(own)
        if part.kind in ("norm", "conv") and isinstance(module, nn.Identity):
            continue
        if part.kind == "norm" and hasattr(module, "drop") and hasattr(module, "act"):
            own = joined(own, "drop")
        layout = _layout(owner, part, module)
        found.append(Layer(name + part.name, part.kind, block, joined(path, own), layout=layout))
    return found


def _layout(owner: Any, part: Part, module: Any) -> str:
    """As the table says, but for a ConvNeXt of convolutions and for patches that stay a map."""
    if getattr(owner, "use_conv_mlp", False):
        return ""
    return "nhwc" if getattr(module, "output_fmt", "") == "NHWC" else part.layout


def _size(model: Any) -> int:
    img_size = getattr(getattr(model, "patch_embed", None), "img_size", None)
    config = getattr(model, "pretrained_cfg", None) or {}
    return int((img_size or config.get("input_size") or (USUAL_PX,))[-1])


def _patch_grid(model: Any, size_px: int) -> tuple[int, int]:
    """Rows and columns of the patches, as the module that cuts them says."""
    embed = model.patch_embed if hasattr(model, "patch_embed") else model.stem
    rows, columns = embed.dynamic_feat_size((size_px, size_px))
    return int(rows), int(columns)


def _last_layer(model: Any, listed: Sequence[Layer] | None, is_known: bool) -> Layer:
    """What the grid is read from: a listed layer, the last block, what timm calls last features."""
    if listed:
        return listed[-1]
    try:
        path = blocks(model)[-1][0] if is_known else model.feature_info[-1]["module"]
        return listed_layers(model, [path])[0]
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise LookupError(
            f"the grid of {class_name(type(model))} is not known: list the modules to look at"
        ) from error


def _last_grid(model: Any, size_px: int, layer: Layer) -> tuple[int, int]:
    """Rows and columns of a layer's map, or of its patch tokens, without computing a number."""
    shapes: list[torch.Size] = []
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    state = {name: tensor.to("meta") for name, tensor in state.items()}
    images = torch.empty(2, 3, size_px, size_px, device="meta")
    with torch.no_grad(), capture(model, [layer], lambda _, value: shapes.append(value.shape)):
        torch.func.functional_call(model, state, (images,))
    if len(shapes[0]) == 4:
        return shapes[0][2], shapes[0][3]
    if hasattr(model, "patch_embed") and hasattr(model.patch_embed, "dynamic_feat_size"):
        return _patch_grid(model, size_px)
    patches = shapes[0][1] - prefix_tokens(model)
    side = math.isqrt(max(patches, 0))
    if len(shapes[0]) != 3 or not side or side**2 != patches:
        raise LookupError(
            f"{layer.name} of {class_name(type(model))} gives values of shape {list(shapes[0])}: "
            "neither maps nor the tokens of a square grid"
        )
    return side, side


def _centres(model: nn.Module, family: Family | None) -> str:
    if family.has_cells if family else hasattr(model, "patch_embed"):
        return "middle"
    pads_last = any(_is_padded_last(module) for module in model.modules())
    return "end" if pads_last else "start"


def _is_padded_last(module: Any) -> bool:
    """Whether it is one of timm's strided modules with TensorFlow's "same" padding."""
    stride = getattr(module, "stride", 1)
    is_strided = max(stride if isinstance(stride, tuple | list) else (stride,)) > 1
    return is_strided and type(module).__name__.endswith("Same")
