"""Forms in which networks' authors publish weights, where timm converts them not, or otherwise.

Timm's own `checkpoint_filter_fn` of each architecture converts what it knows: OpenAI's and
OpenCLIP's image towers, DINOv2, EVA and DINOv3, Swin's own names and many more. Beside it stand the
names of torchvision's ViTs, DINOv2's blocks in chunks, BEiT's one table for all blocks, and the way
in which position embeddings are brought to another grid.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from sightlines.core.errors import WeightsError
from sightlines.models.weight_files import State

POSITIONS = ("antialias", "plain", "dino")
"""How position embeddings are brought to another grid, always bicubically."""
DINO_OFFSET = 0.1
"""What DINO's code adds to a side of the new grid, in cells, before it divides by the old one."""
PRETRAINING = re.compile(
    r"^(mask_token|decoder_\w+|decoder\.|lm_head\.|dino_head\.|ibot_head\.|local_cls_norm\.)"
)
"""Parts that only pre-training has: MAE's decoder, heads, tokens for hidden patches."""
TORCHVISION = (
    (r"^class_token$", "cls_token"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^encoder\.ln\.", "norm."),
    (r"^heads\.head\.", "head."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"\.ln_([12])\.", r".norm\1."),
    (r"\.self_attention\.in_proj_", ".attn.qkv."),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.(0|linear_1)\.", ".mlp.fc1."),
    (r"\.mlp\.(3|linear_2)\.", ".mlp.fc2."),
)
"""Names of torchvision's VisionTransformer, those before version 0.13 too -> timm's."""
FORMER = ((r"\.mlp\.linear_1\.", ".mlp.0."), (r"\.mlp\.linear_2\.", ".mlp.3."))
"""Names of torchvision's ViTs before version 0.13 -> those of now."""
DENSE = re.compile(r"(\.denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
"""Names in torchvision's own files of DenseNets; its networks have no dot before the number."""
CHUNK = re.compile(r"^blocks\.\d+\.(\d+)\.")
"""A block of DINOv2's training: by its chunk, then by its number among all blocks."""
SHARED_BIAS = "rel_pos_bias.relative_position_bias_table"
OWN_BIAS = "attn.relative_position_bias_table"

Filter = Callable[..., State]


def convert(
    raw: State, model: nn.Module, timm_filter: Filter | None, positions: str
) -> tuple[State, bool]:
    """A file's tensors by a model's names, as far as this or timm knows their form.

    And whether position embeddings were brought to another grid in another way than timm's.

    Args:
        raw: The file's, without a prefix.
        model: What they are for.
        timm_filter: Timm's function for this architecture.
        positions: One of POSITIONS.
    """
    found = _in_timms_names(dict(raw), model)
    if timm_filter is None:
        return found, False
    with _resampling(timm_filter, positions) as grids:
        return timm_filter(found, model), bool(grids)


def _in_timms_names(raw: State, model: nn.Module) -> State:
    expected = {name for name, _ in model.named_parameters()}
    if "encoder.pos_embedding" in raw and "conv_proj.weight" in raw:
        form = FORMER if "conv_proj.weight" in expected else TORCHVISION
        return {_renamed(name, form): tensor for name, tensor in raw.items()}
    if any(DENSE.search(name) for name in raw.keys() - expected):
        return {DENSE.sub(r"\1\2.", name): tensor for name, tensor in raw.items()}
    if "cls_token" in raw and any(CHUNK.match(name) for name in raw.keys() - expected):
        return {CHUNK.sub(r"blocks.\1.", name): tensor for name, tensor in raw.items()}
    if SHARED_BIAS in raw and SHARED_BIAS not in expected:
        # As BEiT's code for fine-tuning does: each block begins with the one table of all.
        table = raw.pop(SHARED_BIAS)
        raw |= {name: table for name in sorted(expected) if name.endswith(OWN_BIAS)}
    return raw


def _renamed(name: str, form: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in form:
        name = re.sub(pattern, replacement, name)
    return name


@contextlib.contextmanager
def _resampling(timm_filter: Filter, positions: str) -> Iterator[list[Sequence[int]]]:
    """Timm's conversion with another way to bring position embeddings to another grid.

    Gives a list to which each such grid is added.
    """
    names: dict[str, Any] = timm_filter.__globals__
    own = "resample_abs_pos_embed"
    grids: list[Sequence[int]] = []
    if positions == POSITIONS[0] or own not in names:
        yield grids
        return
    theirs = names[own]

    def resample(
        posemb: torch.Tensor,
        new_size: Sequence[int],
        old_size: Sequence[int] | None = None,
        num_prefix_tokens: int = 1,
        **_: Any,
    ) -> torch.Tensor:
        grids.append(new_size)
        return resampled(posemb, new_size, old_size, num_prefix_tokens, positions)

    names[own] = resample
    try:
        yield grids
    finally:
        names[own] = theirs


def resampled(
    embedding: torch.Tensor,
    new: Sequence[int],
    old: Sequence[int] | None,
    prefix: int,
    positions: str,
) -> torch.Tensor:
    """A position embedding for another grid, without antialiasing.

    ``plain`` asks for the grid's size, as the code of MAE and DeiT does; ``dino`` for a
    scale that is 0.1 cells too large, as the code of DINO and of DINOv2 without registers does
    (`interpolate_pos_encoding`).

    Args:
        embedding: [1, prefix + places, features].
        new: Rows and columns of the new grid.
        old: Of the old one; None: it is square.
        prefix: Tokens before the places, which stay.
        positions: ``plain`` or ``dino``.

    Raises:
        WeightsError: the places fill no square.
    """
    places = embedding.shape[1] - prefix
    rows, columns = old or (round(places**0.5),) * 2
    if rows * columns != places:
        raise WeightsError(f"{places} positions fill no square grid")
    if (rows, columns) == tuple(new):
        return embedding
    grid = embedding[:, prefix:].float().reshape(1, rows, columns, -1).permute(0, 3, 1, 2)
    if positions == "dino":
        scale = tuple((n + DINO_OFFSET) / o for n, o in zip(new, (rows, columns), strict=True))
        grid = functional.interpolate(grid, scale_factor=scale, mode="bicubic")
    else:
        grid = functional.interpolate(grid, size=tuple(new), mode="bicubic")
    assert grid.shape[2:] == tuple(new)
    flat = grid.permute(0, 2, 3, 1).flatten(1, 2).to(embedding.dtype)
    return torch.cat([embedding[:, :prefix], flat], 1)


class Used(TorchFunctionMode):
    """Notes of which tensors others are computed, while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.places: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Call a function as it is, and note its tensors where it computes others of them."""
        del types
        found = func(*args, **(kwargs or {}))
        given = [*_tensors(args), *_tensors((kwargs or {}).values())]
        if isinstance(found, torch.Tensor):
            made = place(found)
            self.places |= {place(tensor) for tensor in given if place(tensor) != made}
        return found


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def place(tensor: torch.Tensor) -> int:
    """Where a tensor's numbers begin in memory."""
    return tensor.data_ptr()


def renamed(raw: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Tensors that a conversion gave other names: the file's name -> the model's."""
    places: dict[int, str] = {}
    for name, tensor in raw.items():
        places.setdefault(place(tensor), name)
    moved = {}
    for name, tensor in found.items():
        before = places.get(place(tensor), name)
        if before != name and before not in found:
            moved[before] = name
    return moved


def passed_over(
    raw: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor], used: set[int]
) -> list[str]:
    """Tensors of a file of which a conversion made nothing.

    Args:
        raw: The file's.
        found: What the conversion gave.
        used: Places of those of which others were computed.
    """
    kept = used | {place(tensor) for tensor in found.values()}
    return [name for name, tensor in raw.items() if name not in found and place(tensor) not in kept]
