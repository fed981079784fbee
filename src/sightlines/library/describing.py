"""What would be looked at in a network, before anything is measured."""

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from sightlines.core.errors import ConfigError
from sightlines.datasets.imagefolder import MEAN, STD
from sightlines.library import networks
from sightlines.library.torch_state import as_before
from sightlines.models import timm_blocks, timm_building
from sightlines.models.attention import attention_modules, prefix_tokens
from sightlines.models.branches import find_branches
from sightlines.models.description import COMPARED, as_text, describe_network
from sightlines.models.found_layers import Seen


@dataclass(frozen=True, repr=False)
class Description:
    """What would be looked at in a network; printed, it is a text.

    Attributes:
        found: Plain values: name, size_px, mean, std, grid (rows and columns of places at the end),
            prefix_tokens, token_order, blocks, layers, attention, measurements, not_measured, ….
    """

    found: dict[str, Any]

    @property
    def name(self) -> str:
        """What the network is called."""
        return str(self.found["name"])

    @property
    def layers(self) -> pd.DataFrame:
        """One row a layer: name, kind, block, module, shape and a note."""
        return pd.DataFrame(self.found["layers"])

    @property
    def measurements(self) -> list[str]:
        """Measurements that are possible."""
        return list(self.found["measurements"])

    @property
    def not_measured(self) -> dict[str, str]:
        """Those that are not, and why."""
        return dict(self.found["not_measured"])

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, ready for JSON."""
        return copy.deepcopy(self.found)

    def __repr__(self) -> str:
        """All of it in lines that people read."""
        return as_text(self.found)


def describe(
    source: str | os.PathLike[str] | nn.Module | networks.Network,
    *,
    layers: Sequence[str] = (),
    size_px: int | None = None,
) -> Description:
    """What would be looked at in a network: layers, places, attention, and what can be measured.

    Args:
        source: A network that `load` gave; or a model's name in timm, which is built without
            numbers; or whatever else `load` takes without weights: the folder of a network in a
            run's results, or a module, which is itself set to evaluation and float32.
        layers: Paths of the modules to look at, where they are not to be found.
        size_px: Side of the images, where it is not the network's own.

    Example:
        >>> about = sl.describe(vit)
        >>> about.found["grid"], about.found["prefix_tokens"], len(about.layers)
        ([4, 4], 1, 39)
        >>> about.not_measured
        {}
        >>> sl.describe(cnn).not_measured["attention_distance"]
        'it has no softmax attention'

    Raises:
        ConfigError: timm has no such model, its blocks are not known and `layers` is empty, or an
            argument says nothing of such a source.
    """
    if isinstance(source, networks.Network):
        if layers or size_px is not None:
            raise ConfigError("describe: the network says layers and size_px; leave them out")
        with as_before():
            return Description(_of(source))
    if size_px is not None:
        networks.require_side(size_px, "describe")
    view: dict[str, Any] = {} if size_px is None else {"size_px": size_px}
    if isinstance(source, str | os.PathLike) and not Path(source).is_dir():
        asked = {"name": str(source), "layers": list(layers)} | view
        with as_before():
            return Description(timm_building.described_network(asked))
    return describe(networks.load(source, layers=layers, **view))


def _of(network: networks.Network) -> dict[str, Any]:
    module, card = network.module, network.card
    seen = vars(module).get("found")
    does, is_vit = "other", False
    if isinstance(seen, Seen):
        does = seen.role
    else:
        try:
            traits = timm_blocks.traits(module, card["size_px"], network.layers)
            does, is_vit = traits.role, traits.attention
        except LookupError:  # a module of which the caller listed the layers
            pass
    facts = {
        "name": network.name,
        "role": does if does in COMPARED else "other",
        "does": does,
        "size_px": card["size_px"],
        "mean": card.get("mean", MEAN),
        "std": card.get("std", STD),
        "grid": card["grid"],
        "prefix": prefix_tokens(module),
        "branches": bool(find_branches(module)[0]),
        "plain_attention": is_vit and bool(attention_modules(module)),
        "parameters": sum(p.numel() for p in module.parameters()),
    }
    return describe_network(module, network.layers, facts)
