"""What networks answer when places of a representation are zeroed, or change places.

Source: Naseer et al. 2021, appendix, Tables 6 and 7: tokens at a block's input, places of the maps
that enter a stage, or the pooling. Theirs is one choice a minibatch, of ⌊p·197⌋ tokens, and for
ResNets a Bernoulli mask; here every image has its own choice of p·places, rounded, patch tokens
alone, for every architecture. What is kept is said in `dumps.responses`; conditions are called
``zero_block03``, ``zero_stage1``, ``shuffle_block03``, …; blocks count from 0, stages from 1, and
the stage after the last is the pooling.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from sightlines.conditions.condition import generators
from sightlines.core.files import TensorFile
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.responses import Change, responses
from sightlines.models.attention import prefix_tokens
from sightlines.models.layers import Layer

KIND = "lesions"
READER = "sightlines.dumps.responses_reading:ResponsesDump"
NETWORKS = "compared"
FAMILIES = "BRANCHES"
SPLITS = "splits"
USES = ("seed",)
CONDITIONS = "lesion"


class Site(NamedTuple):
    """Where places are changed.

    Attributes:
        name: ``block03`` or ``stage1``.
        module: Dotted path of the module.
        is_output: Whether its output is changed, rather than its input.
    """

    name: str
    module: str
    is_output: bool = False


def record(shown: Shown, seed: int, conditions: dict[str, Any]) -> TensorFile:
    """Answers of the network as it is, and with every lesion.

    Args:
        shown: The network.
        seed: The experiment's root seed.
        conditions: `conditions.lesion` of the config, and how many `images` are shown.
    """
    changes = [
        Change(f"{what}_{site.name}", share, None, partial(lesion, shown, site, what, share, seed))
        for site in sites(shown)
        for what, shares in (
            ("zero", conditions["shares"]),
            ("shuffle", conditions["shuffled_shares"]),
        )
        for share in shares
    ]
    return responses(shown, changes, seed, conditions["images"])


def sites(shown: Shown) -> list[Site]:
    """Inputs of all blocks of a network of tokens; of stages, and of the pooling, of one of maps.

    Empty where a block's output is not that of a module.
    """
    blocks = [layer for layer in shown.layers if layer.kind == "residual"]
    if not blocks or any(type(b) is not Layer or b.when != "output" or b.layout for b in blocks):
        return []
    shapes = shown.layer_shapes(blocks)
    if len(shapes[0]) == 2:
        return [Site(f"block{layer.block:02d}", layer.module) for layer in blocks]
    found: list[Site] = []
    for place, (layer, shape) in enumerate(zip(blocks, shapes, strict=True)):
        if place == 0 or shape != shapes[place - 1]:
            found.append(Site(f"stage{len(found) + 1}", layer.module))
    return [*found, Site(f"stage{len(found) + 1}", blocks[-1].module, True)]


@contextlib.contextmanager
def lesion(
    shown: Shown, site: Site, what: str, share: float, seed: int, minibatch: Minibatch
) -> Iterator[None]:
    """Change places of a site while the network runs in the block.

    Args:
        shown: The network.
        site: Where.
        what: ``zero``, or ``shuffle``: the chosen places change places, none stays.
        share: Of the places.
        seed: The experiment's root seed.
        minibatch: Which images are shown.
    """
    module = shown.model.get_submodule(site.module)
    prefix = prefix_tokens(shown.model)

    def change(values: torch.Tensor) -> torch.Tensor:
        return lesioned(values, prefix, what, share, seed, site.name, minibatch)

    def before(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        del module
        return (change(arguments[0]), *arguments[1:])

    def after(module: nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        del module, arguments
        return change(output)

    handle = (
        module.register_forward_hook(after)
        if site.is_output
        else module.register_forward_pre_hook(before)
    )
    try:
        yield
    finally:
        handle.remove()


def lesioned(
    values: torch.Tensor,
    prefix: int,
    what: str,
    share: float,
    seed: int,
    name: str,
    minibatch: Minibatch,
) -> torch.Tensor:
    """A copy of tokens [n, tokens, D] or maps [n, C, rows, columns] with some places changed.

    Args:
        values: What arrives at the site.
        prefix: Tokens before the patches', which stay.
        what: See `lesion`.
        share: Of the places.
        seed: The experiment's root seed.
        name: Of the site.
        minibatch: Which images these are.
    """
    is_map = values.dim() == 4
    places = values.flatten(2).transpose(1, 2) if is_map else values[:, prefix:]
    changed = places.clone()
    count = places.shape[1]
    for row, draws in enumerate(generators(seed, f"lesion {name}", share, minibatch.images)):
        chosen = torch.from_numpy(draws.permutation(count)[: round(share * count)])
        chosen = chosen.to(values.device)
        changed[row, chosen] = 0 if what == "zero" else places[row, chosen.roll(1)]
    if is_map:
        return changed.transpose(1, 2).unflatten(2, values.shape[2:]).contiguous()  # type: ignore[no-any-return]
    return torch.cat([values[:, :prefix], changed], dim=1)
