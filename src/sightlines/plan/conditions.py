"""Which changes of images an experiment asks for, and whose networks are shown them.

A dump that declares CONDITIONS, the name of a block below the config's `conditions`, depends on
that block alone: a changed family reruns its own dumps.
"""

import contextlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from sightlines.core.errors import ConfigError
from sightlines.plan import registry, roles
from sightlines.plan.architectures import described
from sightlines.plan.config import networks
from sightlines.plan.config_types import CORRUPTIONS, EXTRA_CORRUPTIONS, Config, Occlusion
from sightlines.plan.dataset_settings import has_masks

AUTO, FINEST = "auto", 0
SEVERITIES = ("1", "2", "3", "4", "5")
STORED_ALONE = ("frost", "spatter", "saturate")
"""Corruptions of which there are files and no analogues."""
MOST_CYCLES = 31
"""Waves of more cycles an image are in no map (`conditions.frequency`)."""
OTHER_IMAGES = (
    "texture_match",
    "seed",
    "n_train",
    "n_test",
    "n_conflict",
    "n_silhouette",
    "n_mixed",
)
"""Settings of `shapes` in which a task may differ that shows the effect of `texture_match`."""
TRAINED_BY = ("n_train", "seed")
"""Those of which the networks that are trained on it depend: doses are compared at equal ones."""
FEWEST_DOSES = 4
OPTIONAL = ("cutout", "corruption", "frequency", "foreign", "perturbation")
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
        "perturbation": block.perturbation.images > 0,
    }[family]


def is_recorded(config: Config, kind: str) -> bool:
    """Whether a dump is made: where it declares ASKED, if that key of its block names something.

    Args:
        config: The experiment's.
        kind: The dump.
    """
    declared = registry.declarations("dumps", kind)
    if "ASKED" not in declared:
        return True
    return bool(getattr(getattr(config.conditions, declared["CONDITIONS"]), declared["ASKED"]))


def _has_foreign(config: Config) -> bool:
    return any(task.domain == "out" for task in config.transfer.values())


def doses(config: Config) -> dict[str, float]:
    """Tasks that differ from the experiment's own images in the share of own surfaces alone.

    Returns:
        Task -> `texture_match`, of tasks with models to train further; only where conflicts and
        corruptions of the experiment's own images are asked for.
    """
    own = {k: v for k, v in config.dataset.items() if k not in OTHER_IMAGES}
    has_images = config.dataset["kind"] == "shapes" and config.dataset.get("n_conflict")
    if not (has_images and asked(config, "corruption")) or config.conflicts.folder:
        return {}
    return {
        name: float(task.dataset["texture_match"])
        for name, task in config.transfer.items()
        if task.finetune and {k: v for k, v in task.dataset.items() if k not in OTHER_IMAGES} == own
    }


def stored_corruption(dataset: Mapping[str, Any]) -> tuple[str, int] | None:
    """Which corruption of ImageNet-C or CIFAR-10-C a dataset is, and at which severity.

    Args:
        dataset: Its settings: kind cifar10_c, or an image folder ``…/<corruption>/<1 … 5>``.
    """
    if dataset.get("kind") == "cifar10_c":
        return str(dataset["corruption"]), int(dataset["severity"])
    *_, name, severity = ["", "", *PurePosixPath(str(dataset.get("folder", ""))).parts]
    known = (*CORRUPTIONS, *EXTRA_CORRUPTIONS, *STORED_ALONE)
    if dataset.get("kind") == "imagefolder" and name in known and severity in SEVERITIES:
        return name, int(severity)
    return None


def own_cells(config: Config, size_px: int) -> int:
    """Cells along a side of the grid that all networks share: the finest of the ViTs' token grids.

    Of the models that are shown changed images (`conditions.models`): another one's finer patches
    would cut through theirs. Where there is no ViT, of the other networks', whose last map's size
    counts as theirs.
    """
    grids: dict[bool, list[int]] = {True: [], False: []}
    shown = config.conditions.models
    for model in dict.fromkeys(n.model for n in networks(config)):
        if shown != AUTO and model not in shown:
            continue
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
    problems += _depth_problems(config, size_px)
    problems += _occlusion_depth(config, size_px)
    problems += _stored_twice(config)
    own = block.occlusion
    cells = [("cells", own.cells), *(("other_cells", n) for n in own.other_cells)]
    return problems + [
        f"conditions.occlusion.{key}: {count} cells a side do not fit images of {size_px} px: use "
        f"2 to {size_px}"
        for key, count in cells
        if size_px and count != FINEST and not 1 < count <= size_px
    ]


def _stored_twice(config: Config) -> list[str]:
    """Tasks that stand for one corruption at one severity, of which a table could have but one."""
    seen: dict[tuple[str, int], str] = {}
    problems = []
    for name, task in config.transfer.items():
        stored = stored_corruption(task.dataset) if task.domain == "out" else None
        if stored and (first := seen.setdefault(stored, name)) != name:
            tasks = {t: config.transfer[t].dataset.get("folder", "") for t in (first, name)}
            places = " and ".join(f"{t} ({folder})" for t, folder in tasks.items())
            problems.append(
                f"transfer: {places} are both {stored[0]} at severity {stored[1]}: "
                "stored_corruption.csv has one row for it; leave one out, or put it into an "
                "experiment of its own"
            )
    return problems


def _depth_problems(config: Config, size_px: int) -> list[str]:
    """Corruptions, severities and radii under `depth` that there are not."""
    block, problems = config.conditions, []
    for label in block.corruption.depth:
        name, _, severity = label.partition(":")
        if name not in (*CORRUPTIONS, *EXTRA_CORRUPTIONS):
            problems.append(
                f"conditions.corruption.depth: there is no corruption {name!r}: use one of "
                f"{', '.join((*CORRUPTIONS, *EXTRA_CORRUPTIONS))}"
            )
        elif severity not in SEVERITIES:
            problems.append(
                f"conditions.corruption.depth: {label!r} has no severity of 1 to 5: write it as in "
                f"{name}:3"
            )
    most = min(size_px // 2, MOST_CYCLES) if size_px else MOST_CYCLES
    problems += [
        f"conditions.frequency.depth: {radius} cycles an image are more than images of "
        f"{size_px} px have waves of: use 1 to {most}"
        for radius in block.frequency.depth
        if radius > most
    ]
    return problems


def _occlusion_depth(config: Config, size_px: int) -> list[str]:
    """Conditions under `occlusion.depth` that are not made.

    Of the depth that a config has by default what its other keys leave out is no offence, but that
    nothing is left.
    """
    own, known = config.conditions.occlusion, {*config.models}
    models = {n.model for n in networks(config)}
    shown = models if config.conditions.models == AUTO else models & {*config.conditions.models}
    if not own.depth or not shown or not models <= known:
        return []
    made: dict[str, tuple[float, ...]] = {
        "drop_black": own.shares,
        "drop_mean": own.mean_shares,
        "drop_shifted": own.shifted_shares,
        **{f"drop_grid{cells}": own.other_shares for cells in own.other_cells},
        "shuffle": _shuffled(config, size_px),
    }
    if own.parts and has_masks(config.dataset):
        made |= dict.fromkeys(("drop_object", "drop_anywhere", "drop_ground"), (1,))
    labels = [f"{name}:{severity:g}" for name, some in made.items() for severity in some]
    missing = [label for label in own.depth if label not in labels]
    if own.depth == Occlusion().depth and len(missing) < len(own.depth):
        missing = [label for label in missing if not made.get(label.partition(":")[0])]
    if not missing:
        return []
    return [
        f"conditions.occlusion.depth: there is no {', '.join(map(repr, missing))} among what is "
        f"made ({', '.join(labels)}): name one of these, or ask for more of them by the other keys "
        "of conditions.occlusion"
    ]


def _shuffled(config: Config, size_px: int) -> tuple[int, ...]:
    """Cells along a side of the grids whose cells change places, the own one among them."""
    own = config.conditions.occlusion
    cells = own.cells
    if cells == FINEST and size_px:
        with contextlib.suppress(ConfigError):  # of models, which is said of them
            cells = own_cells(config, size_px)
    return tuple(sorted({*own.shuffle_cells, cells} - {FINEST}))
