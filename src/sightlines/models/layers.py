"""The sub-layers of a network: their names and order, and how to see what they compute.

Names and numbers follow Raghu et al. 2021, Figures 1 and 2 (6·blocks + 3 layers of a ViT, 7·units
+ 2·stages + 2 of a ResNet). The order is the order in which the layers compute.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

KINDS = ("embed", "norm", "attn", "mixing", "mlp_hidden", "mlp", "residual", "conv")
LAYOUTS = ("", "nhwc", "flat")


@dataclass(frozen=True)
class Layer:
    """One sub-layer of a network.

    Attributes:
        name: Stable name, such as ``block03.attn``.
        kind: One of `KINDS`; ``residual`` is the output of a block.
        block: Index of its block (ViT) or unit (ResNet, counted over all stages); -1 outside.
        module: Dotted path of the module that is watched.
        when: Whether the layer's value is the ``output`` or the first ``input`` of that module.
        layout: What the module gives: ``""``, tokens [n, tokens, width] or maps [n, channels, rows,
            columns]; ``nhwc``, maps [n, rows, columns, channels]; ``flat``, a square map as
            [n, rows·columns, channels], without prefix tokens.
    """

    name: str
    kind: str
    block: int
    module: str
    when: str = "output"
    layout: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.when not in ("output", "input"):
            raise ValueError(f"layer {self.name!r}: unknown kind {self.kind!r} or {self.when!r}")
        if self.layout not in LAYOUTS:
            raise ValueError(f"layer {self.name!r}: unknown layout {self.layout!r}")


@dataclass(frozen=True)
class PlacedLayer(Layer):
    """A layer of a network that no table knows: which tensor it is, and where its numbers stand.

    Its value becomes a map [n, width, rows, columns], whatever order the network keeps its tokens
    in, and tokens without a place (class tokens, registers) are left out of it; but tokens that all
    layers of a network have in one raster, and values without places, stay as they are.

    Attributes:
        pick: Which of the tensors that the module gives, by its places in tuples, lists and
            dictionaries.
        grid: Rows and columns of its map; empty for what stays as it is.
        axes: Axes of the value over which places differ.
        order: Entry of the flattened axes at each place, row after row; empty where the places
            are the last entries, in that order.
        note: What is left out of it, in words.
    """

    pick: tuple[Any, ...] = ()
    grid: tuple[int, int] | tuple[()] = ()
    axes: tuple[int, ...] = ()
    order: tuple[int, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if self.kind not in (*KINDS, "class"):
            raise ValueError(f"layer {self.name!r}: unknown kind {self.kind!r}")

    def picked(self, given: Any) -> Any:
        """The layer's tensor out of what its module gives."""
        for step in self.pick:
            given = given[step]
        return given

    def turned(self, value: "Tensor") -> "Tensor":
        """The layer's value as a map [n, width, rows, columns], where it has one."""
        if not self.grid:
            return value
        rest = [d for d in range(1, value.dim()) if d not in self.axes]
        value = value.permute(0, *rest, *self.axes)
        value = value.flatten(1, len(rest)) if len(rest) != 1 else value
        if not rest:
            value = value[:, None]
        if len(self.axes) == 2 and not self.order and value.shape[2:] == self.grid:
            return value
        value = value.flatten(2)
        count = self.grid[0] * self.grid[1]
        if self.order:
            import torch

            value = value[:, :, torch.tensor(self.order, device=value.device)]
        else:
            value = value[:, :, value.shape[2] - count :]
        return value.unflatten(2, self.grid)  # type: ignore[no-any-return]


def layer_table(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Rows of index, name, kind, block and depth; depth runs from 0 to 1 over the layers."""
    last = max(len(layers) - 1, 1)
    return [
        {
            "index": index,
            "name": layer.name,
            "kind": layer.kind,
            "block": layer.block,
            "depth": index / last,
        }
        for index, layer in enumerate(layers)
    ]


def block_outputs(layers: Sequence[Layer]) -> list[Layer]:
    """Block outputs, and the norm after the last block where there is one."""
    last = [layers[-1]] if layers[-1].kind == "norm" else []
    return [layer for layer in layers if layer.kind == "residual"] + last


@contextlib.contextmanager
def capture(
    model: "nn.Module", layers: Sequence[Layer], on_layer: "Callable[[int, Tensor], None]"
) -> "Iterator[None]":
    """Hand every layer's value to `on_layer` while the block runs forward passes.

    `on_layer(index, value)` is called at the moment the value exists, before an operation in place
    can change it: whoever wants to keep it must reduce or clone it there. Values come with the
    minibatch first: [n, tokens, width] or [n, channels, rows, columns]; where the module lays out a
    map in another way, as a view of it. All hooks are gone when the block ends, however it ends.

    Raises:
        LookupError: a layer names a module that the model does not have, or that gives no tensor,
            or no forward pass reached it.
    """
    modules = dict(model.named_modules())
    missing = [layer.module for layer in layers if layer.module not in modules]
    if missing:
        raise LookupError(f"the model has no modules {missing}; it has {sorted(modules)[1:]}")
    fired = [False] * len(layers)

    def receive(index: int, value: "Tensor") -> None:
        layer = layers[index]
        value = layer.picked(value) if isinstance(layer, PlacedLayer) else value
        if not hasattr(value, "permute"):
            raise LookupError(
                f"layer {layers[index].name}: its module gives a {type(value).__name__}, no tensor"
            )
        fired[index] = True
        if isinstance(layer, PlacedLayer):
            value = layer.turned(value)
        else:
            value = with_channels_first(value, layer.layout)
        with unseen():
            on_layer(index, value)

    handles = []
    try:
        for index, layer in enumerate(layers):
            handles.append(_watch(modules[layer.module], layer.when, index, receive))
        yield
    finally:
        for handle in handles:
            handle.remove()
    silent = [layer.name for layer, seen in zip(layers, fired, strict=True) if not seen]
    if silent:
        seen_names = [layer.name for layer, seen in zip(layers, fired, strict=True) if seen]
        raise LookupError(f"no forward pass reached the layers {silent}; it reached {seen_names}")


def unseen() -> Any:
    """What a hook computes in the block is not seen by those who count a network's own calls."""
    import torch

    return torch._C.DisableTorchFunction()


def with_channels_first(value: "Tensor", layout: str) -> "Tensor":
    """A map [n, channels, rows, columns] as a view of a value laid out as `Layer.layout` says.

    Tokens [n, tokens, width] stay as they are, with the layouts ``""`` and ``nhwc``.

    Raises:
        ValueError: a ``flat`` value whose map would not be square.
    """
    if layout == "flat":
        side = math.isqrt(value.shape[1])
        if side**2 != value.shape[1]:
            raise ValueError(f"{value.shape[1]} locations are no square map")
        return value.unflatten(1, (side, side)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]
    return value.permute(0, 3, 1, 2) if layout == "nhwc" and value.dim() == 4 else value


def _watch(
    module: "nn.Module", when: str, index: int, receive: "Callable[[int, Tensor], None]"
) -> Any:
    def before(module: "nn.Module", arguments: tuple[Any, ...]) -> None:
        del module
        receive(index, arguments[0])

    def after(module: "nn.Module", arguments: tuple[Any, ...], output: "Tensor") -> None:
        del module, arguments
        receive(index, output)

    if when == "input":
        return module.register_forward_pre_hook(before)
    return module.register_forward_hook(after)
