"""Ways to train a network without labels, one file of `training/objectives` each.

A file is found by itself, like a family of networks: it declares the keys of the recipe's block of
its name (`SETTINGS`) and those of `train` that it follows (`USES`), has a `check`, and is a command
of its own. So each objective has a code digest of its own, and supervised training none of it.
"""

import copy
import functools
from collections.abc import Mapping
from typing import Any

from sightlines.plan import registry

SUPERVISED = "supervised"
"""The objective that is no file: cross-entropy with the images' classes, `training/train.py`."""
FOLDER = "training/objectives"


@functools.cache
def members() -> tuple[str, ...]:
    """Names of all objectives without labels, sorted."""
    stems = sorted(path.stem for path in (registry.PACKAGE / FOLDER).glob("*.py"))
    return tuple(s for s in stems if "SETTINGS" in registry.declarations(FOLDER, s))


def module(objective: str) -> str:
    """The command that trains by an objective, below the package."""
    return f"{FOLDER.replace('/', '.')}.{objective}"


def settings(objective: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of an objective's block, complete; numbers as their types have them.

    Args:
        objective: One of `members`.
        given: What a file says, checked.
    """
    kinds = {"integer": int, "number": float}
    found = {}
    for key, node in registry.declarations(FOLDER, objective)["SETTINGS"].items():
        value = given.get(key, copy.deepcopy(node["default"]))
        found[key] = kinds[node["type"]](value) if node.get("type") in kinds else value
    return found


def uses(objective: str) -> tuple[str, ...]:
    """Keys of `train` that an objective follows, by their names in records."""
    followed: tuple[str, ...] = registry.declarations(FOLDER, objective)["USES"]
    return followed


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema of each objective's block, by its name."""
    return {
        name: {
            "type": "object",
            "description": f"Keys of objective {name}.",
            "additionalProperties": False,
            "properties": registry.declarations(FOLDER, name)["SETTINGS"],
        }
        for name in members()
    }


def check(
    objective: str,
    own: Mapping[str, Any],
    model: Mapping[str, Any],
    described: Mapping[str, Any],
    size_px: int,
) -> None:
    """Refuse what an objective cannot work with, before anything runs.

    Args:
        objective: One of `members`.
        own: The keys of its block, complete.
        model: The model's settings.
        described: The same as claims know them (`architectures.described`).
        size_px: Side of the images.

    Raises:
        ConfigError: the model or the block does not allow it.
    """
    place = f"{registry.PACKAGE.name}.{module(objective)}:check"
    registry.attribute(place)(own, model, described, size_px)
