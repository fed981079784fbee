"""Renders `shapes`: scenes in, pixels and object masks out, in 32-bit integers throughout."""

import numpy as np
from jaxtyping import Bool, Int32, UInt8

from sightlines.datasets.shapes_integers import (
    PX,
    TURN,
    cosine,
    grid,
    hash_cells,
    per_image,
    sine,
    smooth_noise,
)
from sightlines.datasets.shapes_outlines import OUTLINES, UNIT, coverage
from sightlines.datasets.shapes_scene import DIRECTIONS, Scene
from sightlines.datasets.shapes_textures import TEXTURES

NOISE_LEVELS = 8
WANDER, WANDER_CELL = 9, 6
"""How far bands wander, and the side of the cells over which they do, in 1/32 of the image's."""

Frame = tuple[np.ndarray, np.ndarray]


def surfaces(kind: str) -> list[str]:
    """Names of the ten surfaces of a kind (the setting `surface`), in the order of their labels."""
    if kind == "textures":
        return list(TEXTURES)
    degrees = [360 * direction // DIRECTIONS for direction in range(DIRECTIONS)]
    return [f"{width} bands at {angle}°" for width in ("narrow", "wide") for angle in degrees]


def render(
    scene: Scene, size_px: int
) -> tuple[UInt8[np.ndarray, "images h w 3"], Bool[np.ndarray, "images h w"]]:
    """Draw every image of a scene.

    Returns:
        Pixels, and the mask of the object: pixels of which at least half lies inside.
    """
    pixels = _ground(scene, size_px)
    _add_clutter(pixels, scene, size_px)
    inside = _cover(scene, size_px)
    _blend(pixels, _surface(scene, size_px), inside)
    _add_noise(pixels, scene)
    return pixels.astype(np.uint8), inside >= 2


def render_surface(scene: Scene, size_px: int) -> UInt8[np.ndarray, "images h w 3"]:
    """Fill every image with its object's surface, without outline, background or clutter."""
    pixels = _surface(scene, size_px)
    _add_noise(pixels, scene)
    return pixels.astype(np.uint8)


def _turned(
    scene_x: np.ndarray, scene_y: np.ndarray, angle: np.ndarray, scale: int, by: np.ndarray
) -> Frame:
    """Coordinates in a frame turned by `angle`, in which length `by` counts `scale` units."""
    a = per_image(cosine(angle) * scale // (by << 14))
    b = per_image(sine(angle) * scale // (by << 14))
    return (scene_x * a + scene_y * b) >> 16, (scene_y * a - scene_x * b) >> 16


def _from(origin: np.ndarray, size_px: int) -> Frame:
    """Pixel centres relative to each image's origin, in 1/256 px."""
    columns, rows = grid(size_px)
    return columns - per_image(origin[:, 0]), rows - per_image(origin[:, 1])


def _mix(
    scene: Scene, frame: Frame, which: int, kinds: np.ndarray
) -> Int32[np.ndarray, "images h w 3"]:
    """A textured surface: object's (which = 0) or ground's (1)."""
    x, y = _turned(*frame, scene.turns[:, which], 256, scene.periods[:, which])
    x = x + per_image(scene.phases[:, 2 * which])
    y = y + per_image(scene.phases[:, 2 * which + 1])
    salt = per_image_bits(scene.salt + which)
    weight = np.empty(x.shape, np.int32)
    for kind, texture in enumerate(TEXTURES.values()):
        rows = np.flatnonzero(kinds == kind)
        if rows.size:
            weight[rows] = texture(x[rows], y[rows], salt[rows])
    first = scene.colours[:, 2 * which].astype(np.int32)[:, None, None, :]
    second = scene.colours[:, 2 * which + 1].astype(np.int32)[:, None, None, :]
    return first + ((second - first) * weight[..., None] >> 8)


def per_image_bits(values: np.ndarray) -> np.ndarray:
    """The low 32 bits of one number an image, ready to meet pixels."""
    return (values & 0xFFFFFFFF).astype(np.uint32).reshape(-1, 1, 1)


def _ground(scene: Scene, size_px: int) -> np.ndarray:
    middle = np.full((len(scene), 2), size_px * PX // 2)
    return _mix(scene, _from(middle, size_px), 1, scene.ground)


def _surface(scene: Scene, size_px: int) -> np.ndarray:
    frame = _from(scene.centre, size_px)
    return (
        _bands(scene, frame, size_px)
        if scene.band_width.any()
        else _mix(scene, frame, 0, scene.texture)
    )


def _bands(scene: Scene, frame: Frame, size_px: int) -> Int32[np.ndarray, "images h w 3"]:
    """Wavy bands in three colours that follow each other in the surface's direction.

    They wander by up to `WANDER` over a cell: near each other their order holds, across the object
    no two surfaces are in step.
    """
    turns = scene.turns[:, 0] + scene.texture % DIRECTIONS * TURN // DIRECTIONS
    along, across = _turned(*frame, turns, PX, np.full_like(turns, PX))
    unit = size_px * PX // 32
    x, y = (axis * 256 // (unit * WANDER_CELL) for axis in (along, across))
    along = along + (smooth_noise(x, y, per_image_bits(scene.salt)) * (WANDER * unit) >> 8)
    band = (along * 256 // per_image(scene.band_width) + 3 * per_image(scene.phases[:, 0])) >> 8
    images = np.arange(len(scene)).reshape(-1, 1, 1)
    return scene.band_colours.astype(np.int32)[images, band % 3]  # type: ignore[no-any-return]


def _add_clutter(pixels: np.ndarray, scene: Scene, size_px: int) -> None:
    """Bars with round or square ends and short blobs, one colour each, behind the object."""
    for k in range(scene.clutter.shape[1]):
        x, y, length, width, angle = scene.clutter[:, k].T
        frame = _from(np.stack([x, y], axis=1), size_px)
        along, across = _turned(*frame, angle, PX, np.full_like(length, PX))
        outside = np.maximum(np.abs(along) - per_image(length - width), 0)
        is_round = outside * outside + across * across < per_image(width * width)
        pixels[...] = np.where(
            is_round[..., None], scene.clutter_colours[:, k].astype(np.int32)[:, None, None], pixels
        )


def _cover(scene: Scene, size_px: int) -> np.ndarray:
    """How much of each pixel the object covers, in quarters."""
    x, y = _turned(*_from(scene.centre, size_px), scene.angle, UNIT, scene.radius)
    quarter = UNIT * (PX // 4)
    a = per_image(cosine(scene.angle) * quarter // (scene.radius << 30))
    b = per_image(-sine(scene.angle) * quarter // (scene.radius << 30))
    covered = np.empty(x.shape, np.int8)
    for kind, inside in enumerate(OUTLINES.values()):
        rows = np.flatnonzero(scene.label == kind)
        if rows.size:
            covered[rows] = coverage(inside, x[rows], y[rows], (a[rows], b[rows]))
    return covered


def _blend(pixels: np.ndarray, surface: np.ndarray, covered: np.ndarray) -> None:
    """Lay the object over what is behind it; a pixel is covered by whole quarters."""
    surface -= pixels
    surface *= covered[..., None]
    pixels += surface >> 2


def _add_noise(pixels: np.ndarray, scene: Scene) -> None:
    """Independent noise in each pixel and channel, then the range of a byte."""
    places = np.arange(pixels[0].size, dtype=np.int32).reshape(1, *pixels.shape[1:])
    bits = hash_cells(places, places >> 4, per_image_bits(scene.salt + 2)[..., None])
    noise = (bits >> np.uint32(16)).astype(np.int32) * (2 * NOISE_LEVELS + 1) >> 16
    pixels += noise - NOISE_LEVELS
    np.clip(pixels, 0, 255, out=pixels)
