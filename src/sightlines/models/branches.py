"""Where a network adds a branch to a skip connection, and what the two add up.

Raghu et al. 2021, section 6: with z on the skip and f(z) out of the branch, a block goes on with
z + f(z). Both are taken as they are added: the skip after its projection where there is one, the
branch after layer scale and stochastic depth.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from sightlines.models.layers import unseen, with_channels_first
from sightlines.models.timm_blocks import blocks
from sightlines.models.timm_matching import below, is_there, joined, known_block
from sightlines.models.timm_table import Block

OnBranch = Callable[[int, Tensor, Tensor], None]
"""Called with the branch's index, z and f(z)."""
BUDGET = 2**24
"""Activations of a branch of which norms are taken at once."""


@dataclass(frozen=True)
class Branch:
    """One addition of a branch to a skip connection.

    Attributes:
        block: Index of its block or unit, counted over the whole network.
        name: ``attn``, ``mlp``, ``mixing`` (a Mixer's over tokens), ``unit`` (a convolutional
            network's).
        skip: Path of the module at which z is found.
        when: Whether z is that module's ``output`` or its ``input``.
        long: Path of the module whose output is f(z).
        layout: Of z and f(z), as in `models.layers.Layer`.
    """

    block: int
    name: str
    skip: str
    when: str
    long: str
    layout: str = ""


def find_branches(model: nn.Module) -> tuple[list[Branch], int]:
    """All branches that have a skip connection, in the order in which they compute.

    A block that is built without one of its skips says in `skips` which it has.

    Returns:
        The branches, and the number of blocks or units; none of a model that is not known.
    """
    try:
        known = [(path, block, known_block(block)) for path, block in blocks(model)]
    except LookupError:
        return [], 0
    found = [_branches_of(*each, index) for index, each in enumerate(known)]
    return list(itertools.chain(*found)), len(known)


def _branches_of(path: str, block: nn.Module, known: Block, index: int) -> list[Branch]:
    """Branches of one block: two of a transformer's or Mixer's, one of a unit, or none."""
    kept = getattr(block, "skips", [each.name for each in known.additions])
    found = []
    for each in known.additions:
        if each.name in kept and is_there(block, each.needs):
            has_skip = is_there(block, each.skip)
            skip = joined(path, below(block, each.skip)) if has_skip else path
            when = each.when if has_skip else "input"
            long = joined(path, below(block, each.long))
            found.append(Branch(index, each.name, skip, when, long, each.layout))
    return found


@contextlib.contextmanager
def capture_branches(
    model: nn.Module, branches: list[Branch], on_branch: OnBranch
) -> Iterator[None]:
    """Hand every branch's z and f(z) to `on_branch` while the block runs forward passes.

    The tensors come with the minibatch first, maps with channels first, at the moment at which both
    exist and before they are added: whoever wants to keep them must reduce or clone them there.

    Raises:
        LookupError: no forward pass reached a branch.
    """
    modules = dict(model.named_modules())
    waiting: dict[int, dict[str, Tensor]] = {}
    seen: set[int] = set()
    handles = []

    def receive(index: int, which: str, value: Tensor) -> None:
        both = waiting.setdefault(index, {})
        both[which] = with_channels_first(value, branches[index].layout)
        if len(both) == 2:
            seen.add(index)
            del waiting[index]
            with unseen():
                on_branch(index, both["skip"], both["long"])

    def watch(index: int, branch: Branch) -> None:
        def before(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            del module
            receive(index, "skip", arguments[0])

        def after(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
            del module, arguments
            receive(index, "skip", output)

        def add(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
            del module, arguments
            receive(index, "long", output)

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
    norm_z, norm_f, norm_after = (np.sqrt(_products(x, x, axis)) for x in (skip, long, after))
    cosine = _divide(_products(skip, after, axis), norm_z * norm_after)
    return _divide(norm_z, norm_f), cosine


def _products(left: Tensor, right: Tensor, axis: int) -> np.ndarray:
    """Inner products along an axis; torch's norm along a map's channels is ten times slower."""
    products = (left * right).sum(axis).flatten(1)
    return products.cpu().numpy().astype(np.float64)


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)  # type: ignore[no-any-return]
