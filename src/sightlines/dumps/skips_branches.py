"""Where a network adds a branch to a skip connection, and what the two add up.

Raghu et al. 2021, section 6: with z on the skip and f(z) out of the branch, a block goes on with
z + f(z). Both are taken as they are added: the skip after its projection where there is one, the
branch after layer scale and stochastic depth.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

OnBranch = Callable[[int, Tensor, Tensor], None]
"""Called with the branch's index, z and f(z)."""
BUDGET = 2**24
"""Activations of a branch of which norms are taken at once."""
TOKEN_BLOCK = ("norm1", "drop_path1", "norm2", "drop_path2")
"""Parts of a block of a ViT or Mixer; `attn` is a ViT's only."""
RESNET_UNIT = ("conv3", "norm3", "drop_path", "act3", "downsample")


@dataclass(frozen=True)
class Branch:
    """One addition of a branch to a skip connection.

    Attributes:
        block: Index of its block or unit, counted over the whole network.
        name: ``attn``, ``mlp``, ``mixing`` (a Mixer's over tokens), ``unit`` (a ResNet's).
        skip: Path of the module at which z is found.
        when: Whether z is that module's ``output`` or its ``input``.
        long: Path of the module whose output is f(z).
    """

    block: int
    name: str
    skip: str
    when: str
    long: str


def find_branches(model: nn.Module) -> tuple[list[Branch], int]:
    """All branches that have a skip connection, in the order in which they compute.

    A block that is built without one of its skips says in `skips` which it has.

    Returns:
        The branches, and the number of blocks or units.
    """
    found: list[Branch] = []
    blocks = 0
    for path, module in model.named_modules():
        own = _branches_of(module, path, blocks)
        kept = getattr(module, "skips", [branch.name for branch in own])
        found += [branch for branch in own if branch.name in kept]
        blocks += bool(own)
    return found, blocks


def _branches_of(module: Any, path: str, block: int) -> list[Branch]:
    """Branches of one module: two of a transformer's or Mixer's block, one of a unit, else none."""
    if _has(module, TOKEN_BLOCK):
        first = "attn" if hasattr(module, "attn") else "mixing"
        return [
            Branch(block, first, path, "input", f"{path}.drop_path1"),
            Branch(block, "mlp", f"{path}.norm2", "input", f"{path}.drop_path2"),
        ]
    if _has(module, RESNET_UNIT):
        if module.downsample is None:
            return [Branch(block, "unit", path, "input", f"{path}.drop_path")]
        return [Branch(block, "unit", f"{path}.downsample", "output", f"{path}.drop_path")]
    return []


def _has(module: nn.Module, parts: tuple[str, ...]) -> bool:
    return all(hasattr(module, part) for part in parts)


@contextlib.contextmanager
def capture_branches(
    model: nn.Module, branches: list[Branch], on_branch: OnBranch
) -> Iterator[None]:
    """Hand every branch's z and f(z) to `on_branch` while the block runs forward passes.

    The tensors come with the minibatch first, at the moment at which f(z) exists: whoever wants to
    keep them must reduce or clone them there.

    Raises:
        LookupError: no forward pass reached a branch.
    """
    modules = dict(model.named_modules())
    waiting: dict[int, Tensor] = {}
    seen: set[int] = set()
    handles = []

    def watch(index: int, branch: Branch) -> None:
        def before(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            del module
            waiting[index] = arguments[0]

        def after(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
            del module, arguments
            waiting[index] = output

        def add(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
            del module, arguments
            seen.add(index)
            on_branch(index, waiting.pop(index), output)

        skip, long = modules[branch.skip], modules[branch.long]
        if branch.when == "input":
            handles.append(skip.register_forward_pre_hook(before))
        else:
            handles.append(skip.register_forward_hook(after))
        handles.append(long.register_forward_hook(add))

    try:
        for index, branch in enumerate(branches):
            watch(index, branch)
        yield
    finally:
        for handle in handles:
            handle.remove()
    silent = [f"{b.name} of block {b.block}" for i, b in enumerate(branches) if i not in seen]
    if silent:
        raise LookupError(f"no forward pass reached the branches {silent}")


def ratios_and_cosines(skip: Tensor, long: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """‖z‖/‖f(z)‖ and the cosine of z and z + f(z), of every image and token.

    Args:
        skip: z, [n, tokens, width] or [n, channels, rows, columns].
        long: f(z), alike.

    Returns:
        Both [n, tokens] float64, locations of a map row after row; NaN where f(z) is 0 (the ratio),
        or where z or z + f(z) is (the cosine).
    """
    step = max(1, BUDGET // max(skip[0].numel(), 1))
    parts = [_of_images(skip[i : i + step], long[i : i + step]) for i in range(0, len(skip), step)]
    ratio, cosine = zip(*parts, strict=True)
    return np.concatenate(ratio), np.concatenate(cosine)


def _of_images(skip: Tensor, long: Tensor) -> tuple[np.ndarray, np.ndarray]:
    axis = 1 if skip.dim() == 4 else 2
    skip, long = skip.float(), long.float()
    after = skip + long
    norm_z, norm_f, norm_after = (_norm(x, axis) for x in (skip, long, after))
    product = (skip * after).sum(axis).flatten(1).cpu().numpy().astype(np.float64)
    return _divide(norm_z, norm_f), _divide(product, norm_z * norm_after)


def _norm(values: Tensor, axis: int) -> np.ndarray:
    norm = torch.linalg.vector_norm(values, dim=axis).flatten(1)
    return norm.cpu().numpy().astype(np.float64)


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)
