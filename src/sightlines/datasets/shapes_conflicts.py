"""Cue conflicts of `shapes` with one of their two cues changed, and nothing else.

The same object at the same place, size, tilt and colours, on the same ground with the same
distractors and noise: with another surface, or with another outline. The new cue is of neither the
outline's nor the surface's class, so that the two are in conflict still.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from sightlines.datasets.shapes_integers import Draws
from sightlines.datasets.shapes_render import render
from sightlines.datasets.shapes_scene import KINDS, Scene, conflict_labels, draw_scene

OTHER_TEXTURE, OTHER_SHAPE = "other_texture", "other_shape"
CHUNK = 128
"""Images that are drawn at once."""


def changed_conflicts(
    settings: Mapping[str, Any], which: str, places: Int64[np.ndarray, " images"]
) -> UInt8[np.ndarray, "images h w 3"]:
    """Images of the split ``conflict``, as they are or with one cue of another class.

    Args:
        settings: The dataset's settings.
        which: ``other_texture``, ``other_shape``, or "" for the images as they are.
        places: Which ones.
    """
    draws = Draws(settings["seed"], "conflict", settings["n_conflict"])
    label, texture = conflict_labels(draws)
    other = third(label, texture, draws.below("third class", KINDS - 2)[:, 0])
    if which == OTHER_TEXTURE:
        texture = other
    if which == OTHER_SHAPE:
        label = other
    scene, size = draw_scene(draws, label, texture, settings), settings["size_px"]
    chosen = Scene(**{field.name: getattr(scene, field.name)[places] for field in fields(scene)})
    parts = range(0, len(places), CHUNK)
    images = [render(chosen[begin : begin + CHUNK], size)[0] for begin in parts]
    return np.concatenate(images) if images else np.zeros((0, size, size, 3), np.uint8)


def third(
    one: Int64[np.ndarray, " images"],
    other: Int64[np.ndarray, " images"],
    rank: Int64[np.ndarray, " images"],
) -> Int64[np.ndarray, " images"]:
    """The class of a rank, from 0 to KINDS − 3, among those that are neither of two."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    found = rank + (rank >= low)
    return found + (found >= high)
