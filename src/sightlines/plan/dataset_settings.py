"""A dataset's settings as what its images are: settings that came later count where they are used.

A dataset's file names in `LATER` the settings that were added when there were images already. While
they have their defaults, images, and all that was made of them, are what they were. Settings in
`BESIDE` are about something beside the images, such as masks, and change nothing of them.
"""

from collections.abc import Mapping
from typing import Any

from sightlines.plan import registry


def as_made(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """A dataset's config without later settings that have their defaults, and what is beside."""
    declared = registry.declarations("datasets", dataset["kind"])
    usual = {key: declared["SETTINGS"][key]["default"] for key in declared.get("LATER", ())}
    own = {key: v for key, v in dataset.items() if key not in declared.get("BESIDE", ())}
    return {key: v for key, v in own.items() if key not in usual or v != usual[key]}


def has_masks(dataset: Mapping[str, Any]) -> bool:
    """Whether it is known where the objects are in a dataset's images."""
    declared = registry.declarations("datasets", dataset["kind"])
    return bool(declared.get("MASKS") or dataset.get("masks"))
