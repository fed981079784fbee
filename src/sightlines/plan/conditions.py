"""Which changes of images an experiment asks for, and whose networks are shown them.

A dump that declares CONDITIONS, the name of a block below the config's `conditions`, depends on
that block alone: a changed family reruns its own dumps.
"""

from collections.abc import Mapping
from typing import Any

from sightlines.plan import registry, roles
from sightlines.plan.architectures import described
from sightlines.plan.config import networks
from sightlines.plan.config_types import Config

AUTO, FINEST = "auto", 0
OPTIONAL = ("cutout", "corruption", "frequency", "foreign")
"""Families of which nothing may be asked for; NEEDS may name them."""


def studied(config: Config, architectures: Mapping[str, Any]) -> list[str]:
    """Models whose networks are shown changed images.

    Args:
        config: The experiment's.
        architectures: The models' settings.
    """
    plain = roles.plain_models(networks(config), architectures)
    asked = config.conditions.models
    return plain if asked == AUTO else [m for m in plain if m in asked]


def settings(config: Config, kind: str, size_px: int) -> dict[str, Any]:
    """A family's settings, as one of its dumps knows them, with the number of images.

    Args:
        config: The experiment's.
        kind: The dump: its CONDITIONS names the family's block, and UNUSED the keys that it does
            not depend on.
        size_px: Side of the dataset's images.
    """
    declared, block = registry.declarations("dumps", kind), config.conditions
    own = {"images": block.images, **getattr(block, declared["CONDITIONS"]).recorded()}
    own = {key: value for key, value in own.items() if key not in declared.get("UNUSED", ())}
    if own.get("cells") == FINEST:
        own["cells"] = own_cells(config, size_px)
    return own


def asked(config: Config, family: str) -> bool:
    """Whether anything of one of the OPTIONAL families is asked for."""
    block = config.conditions
    return {
        "cutout": bool(block.cutout.shares or block.cutout.mean_shares),
        "corruption": bool(block.corruption.severities),
        "frequency": block.frequency.frequencies != "none",
        "foreign": block.foreign.images > 0 and _has_foreign(config),
    }[family]


def _has_foreign(config: Config) -> bool:
    return any(task.domain == "out" for task in config.transfer.values())


def own_cells(config: Config, size_px: int) -> int:
    """Cells along a side of the grid that all networks share: the finest of the ViTs' token grids.

    Where there is no ViT, of the other networks', whose last map's size counts as theirs.
    """
    grids: dict[bool, list[int]] = {True: [], False: []}
    for model in dict.fromkeys(n.model for n in networks(config)):
        own = config.models[model]
        rows, columns = registry.load("models", own.family).check(own.settings, size_px)
        is_vit = described(own.settings, size_px).get("family") == "vit"
        grids[is_vit].append(max(rows, columns))
    return max(2, min(max(grids[True] or grids[False]), size_px))


def check(config: Config, size_px: int) -> list[str]:
    """Problems of `conditions`, in words.

    Args:
        config: The experiment's.
        size_px: Side of the dataset's images; 0 where that is not known.
    """
    block, known = config.conditions, config.models
    problems = []
    if block.models != AUTO:
        problems += [
            f"conditions.models: {name!r} is not among models ({', '.join(sorted(known))})"
            for name in block.models
            if name not in known
        ]
    own = block.occlusion
    cells = [("cells", own.cells), *(("other_cells", n) for n in own.other_cells)]
    return problems + [
        f"conditions.occlusion.{key}: {count} cells a side do not fit images of {size_px} px: use "
        f"2 to {size_px}"
        for key, count in cells
        if size_px and count != FINEST and not 1 < count <= size_px
    ]
