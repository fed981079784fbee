"""What each image of `shapes` shows: the draws behind it, one array a property."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from sightlines.datasets.shapes_integers import PX, TURN, Draws

KINDS = 10
"""Outlines, and textures: texture i is the own texture of class i."""


HUES = (
    (225, 135, 135),
    (135, 225, 135),
    (135, 135, 225),
    (225, 225, 135),
    (225, 135, 225),
    (135, 225, 225),
    (225, 180, 135),
    (180, 180, 180),
    (135, 180, 225),
    (225, 225, 225),
)
"""Mean colour of each texture, as materials have theirs."""

HUE_SPREAD = 30

BAND_HUES = ((230, 65, 65), (65, 220, 65), (65, 75, 235))
"""Colours of bands, in the order in which they follow each other, the same for every class."""

BAND_SPREAD = 25
WHITES, WHITE_SPREAD = (190, 255), 10
"""Lightness of distractors behind banded objects, and how far a channel is off: no hue of a band,
but what differs most between two images."""
GREYS = (20, 235)
"""The same where objects are no lighter than grounds."""
GROUNDS = {True: (40, 200), False: (105, 255)}
"""Colours of grounds, a channel, where objects are no lighter: of banded and of textured ones. The
mean lightness of bands is 120, that of textures' hues 180."""
DIRECTIONS = 5
"""Of bands, a fifth of a turn apart; each narrow (surfaces 0 to 4) and wide (5 to 9)."""

BAND_WIDTHS = ((10, 12), (18, 20))
"""Of narrow and of wide bands, from and to, in 1/128 of the side: quarters of 1/32."""


@dataclass(frozen=True)
class Scene:
    """Properties of n images; lengths in 1/256 px, angles in 1/4096 turn, colours 0 … 255.

    Attributes:
        label: Outline, the class.
        texture: Surface of the object: its texture, or its bands.
        ground: Texture of the background.
        centre: Object's centre (x, y).
        radius: Object's radius: 1024 units of the outline's frame.
        angle: Object's rotation.
        periods: Period of the object's and the ground's texture.
        turns: Rotation of the object's and the ground's texture.
        phases: Shift of both textures, (x, y) each, in 1/256 period.
        colours: Two colours of the object, then two of the ground.
        clutter: Distractors: x, y, half length, half width, angle.
        clutter_colours: One colour a distractor.
        salt: 32 bits for the noise.
        band_width: Width of the object's bands; 0 where its surface is a texture.
        band_colours: Three colours of the bands in their order.
    """

    label: Int64[np.ndarray, " images"]
    texture: Int64[np.ndarray, " images"]
    ground: Int64[np.ndarray, " images"]
    centre: Int64[np.ndarray, "images 2"]
    radius: Int64[np.ndarray, " images"]
    angle: Int64[np.ndarray, " images"]
    periods: Int64[np.ndarray, "images 2"]
    turns: Int64[np.ndarray, "images 2"]
    phases: Int64[np.ndarray, "images 4"]
    colours: Int64[np.ndarray, "images 4 3"]
    clutter: Int64[np.ndarray, "images distractors 5"]
    clutter_colours: Int64[np.ndarray, "images distractors 3"]
    salt: Int64[np.ndarray, " images"]
    band_width: Int64[np.ndarray, " images"]
    band_colours: Int64[np.ndarray, "images 3 3"]

    def __getitem__(self, rows: slice) -> "Scene":
        return Scene(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def __len__(self) -> int:
        return len(self.label)


def matched_labels(draws: Draws, texture_match: float) -> tuple[np.ndarray, np.ndarray]:
    """Balanced classes in random order; textures that are the class's own with that probability.

    Returns:
        Class and texture of each image. The other textures share what is left evenly.
    """
    label = draws.shuffled("order") % KINDS
    other = (label + 1 + draws.below("other texture", KINDS - 1)[:, 0]) % KINDS
    is_own = draws.below("texture match", 1 << 20)[:, 0] < round(texture_match * (1 << 20))
    return label, np.where(is_own, label, other)


def conflict_labels(draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Shape of one class, texture of another: all 90 pairs equally often, in random order."""
    pair = draws.shuffled("order") % (KINDS * (KINDS - 1))
    label, step = pair // (KINDS - 1), pair % (KINDS - 1)
    return label, (label + 1 + step) % KINDS


def draw_split(draws: Draws, split: str, settings: Mapping[str, Any]) -> Scene:
    """What the images of a split show.

    Args:
        draws: The streams of this split; of ``mixed_same`` and ``mixed_rand`` the same ones.
        split: ``train``, ``test``, ``conflict``; ``silhouette``, flat objects of any hue on flat
            grounds, with nothing else; ``mixed_same`` and ``mixed_rand``, objects on grounds of
            their class's own texture and of another's.
        settings: The dataset's settings.
    """
    if split == "conflict":
        return draw_scene(draws, *conflict_labels(draws), settings)
    label, texture = matched_labels(draws, settings["texture_match"])
    if split == "silhouette":
        bare = {**settings, "surface": "textures", "own_hue": False, "distractors": 0}
        scene = draw_scene(draws, label, texture, bare)
        return replace(scene, colours=scene.colours[:, [0, 0, 2, 2]])
    scene = draw_scene(draws, label, texture, settings)
    if split == "mixed_same":
        return replace(scene, ground=label)
    if split == "mixed_rand":
        other = (label + 1 + draws.below("other ground", KINDS - 1)[:, 0]) % KINDS
        return replace(scene, ground=other)
    return scene


def draw_scene(
    draws: Draws, label: np.ndarray, texture: np.ndarray, settings: Mapping[str, Any]
) -> Scene:
    """Everything else about the images: places, sizes, rotations, colours, clutter.

    Args:
        draws: The streams of this split.
        label: Outline of each image.
        texture: Surface texture of each image.
        settings: The dataset's settings.
    """
    size_px, distractors = settings["size_px"], settings["distractors"]
    is_banded, is_lighter = settings["surface"] == "bands", settings.get("lighter", True)
    tilt, turn = (TURN * settings[key] // 360 for key in ("tilt_deg", "surface_tilt_deg"))
    unit = size_px * PX // 32  # 1/32 of the image's side
    smallest, largest = (unit * settings[f"{end}_object"] // 2 for end in ("smallest", "largest"))
    radius = draws.between("radius", smallest, largest)[:, 0]
    margin = radius
    centre = margin[:, None] + draws.below("centre", (size_px * PX - 2 * margin)[:, None] + 1, 2)
    return Scene(
        label=label,
        texture=texture,
        ground=_draw_ground(draws, label, float(settings.get("ground_match", 0))),
        centre=centre,
        radius=radius,
        angle=draws.between("angle", -tilt, tilt)[:, 0] % TURN,
        periods=draws.between("period", unit * 4, unit * 6, 2),
        turns=draws.between("turn", -turn, turn, 2) % TURN,
        phases=draws.below("phase", 256, 4),
        colours=_draw_colours(draws, texture, settings["own_hue"], is_lighter, is_banded),
        clutter=_draw_clutter(draws, unit, distractors),
        clutter_colours=_draw_clutter_colours(draws, distractors, is_banded, is_lighter),
        salt=draws.raw("noise")[:, 0],
        band_width=_draw_band_width(draws, texture, unit) * is_banded,
        band_colours=_draw_band_colours(draws),
    )


def _draw_band_width(draws: Draws, texture: NDArray[np.integer], unit: int) -> NDArray[np.integer]:
    low, high = (unit * np.array(BAND_WIDTHS, np.int64) // 4)[texture // DIRECTIONS].T
    return low + draws.below("band width", (high - low + 1)[:, None])[:, 0]  # type: ignore[no-any-return]


def _draw_band_colours(draws: Draws) -> np.ndarray:
    away = draws.between("band colour", -BAND_SPREAD, BAND_SPREAD, 9).reshape(draws.count, 3, 3)
    return (np.array(BAND_HUES, np.int64) + away).clip(0, 255)


def _draw_ground(draws: Draws, label: np.ndarray, ground_match: float) -> np.ndarray:
    """Any texture, or with that probability the one of the object's class."""
    ground = draws.below("ground", KINDS)[:, 0]
    if not ground_match:
        return ground
    is_own = draws.below("ground match", 1 << 20)[:, 0] < round(ground_match * (1 << 20))
    return np.where(is_own, label, ground)


def _draw_clutter_colours(
    draws: Draws, distractors: int, is_banded: bool, is_lighter: bool
) -> np.ndarray:
    if not is_banded:
        drawn = draws.below("clutter colour", 160 if is_lighter else 256, distractors * 3)
        return drawn.reshape(draws.count, distractors, 3)
    white = draws.between("clutter white", *(WHITES if is_lighter else GREYS), distractors)
    away = draws.between("clutter colour", -WHITE_SPREAD, WHITE_SPREAD, distractors * 3)
    return (white[:, :, None] + away.reshape(draws.count, distractors, 3)).clip(0, 255)


def _draw_colours(
    draws: Draws, texture: np.ndarray, own_hue: bool, is_lighter: bool, is_banded: bool
) -> np.ndarray:
    """A surface's own hue, loosely kept, or any; lighter than the ground, or of one range."""
    ground = draws.between("ground colour", *((10, 90) if is_lighter else GROUNDS[is_banded]), 3)
    any_hue = draws.below("hue", KINDS)[:, 0]
    hue = np.array(HUES, np.int64)[texture if own_hue else any_hue]
    thing = hue + draws.between("object colour", -HUE_SPREAD, HUE_SPREAD, 3)
    return np.stack(
        [
            thing,
            _near(thing, draws.between("object contrast", 40, 80, 3), draws.below("up", 2, 1)),
            ground,
            _near(ground, draws.between("ground contrast", 5, 25, 3), draws.below("dark", 2, 3)),
        ],
        axis=1,
    )


def _near(
    colour: NDArray[np.integer], distance: NDArray[np.integer], up: np.ndarray
) -> NDArray[np.integer]:
    """A colour that far away, up or down, on the side where there is room."""
    moved = np.where(up == 1, colour + distance, colour - distance)
    return np.where((moved < 0) | (moved > 255), 2 * colour - moved, moved).clip(0, 255)


def _draw_clutter(draws: Draws, unit: int, distractors: int) -> np.ndarray:
    return np.stack(
        [
            draws.below("clutter x", 32 * unit, distractors),
            draws.below("clutter y", 32 * unit, distractors),
            draws.between("clutter length", unit * 3 // 2, unit * 7, distractors),
            draws.between("clutter width", unit * 3 // 4, unit * 2, distractors),
            draws.below("clutter angle", TURN, distractors),
        ],
        axis=2,
    )
