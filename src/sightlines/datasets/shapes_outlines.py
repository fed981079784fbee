"""The ten outlines of `shapes`: a class is an outline.

Each is a test "is this point inside?" on integer coordinates in the object's own frame: x to the
right, y down, 1024 units = one radius, both clipped to ±4096. Scales are chosen so that all
outlines cover about the same area (1.56 squared radii within 6 %): area does not give the class
away.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Inside = Callable[[np.ndarray, np.ndarray], np.ndarray]

UNIT = 1024


def _circle(x: NDArray[np.integer], y: NDArray[np.integer]) -> NDArray[np.bool_]:
    return x * x + y * y < 708 * 708


def _ring(x: NDArray[np.integer], y: NDArray[np.integer]) -> NDArray[np.bool_]:
    squared = x * x + y * y
    return (squared < 860 * 860) & (squared > 488 * 488)


def _polygon(
    x: NDArray[np.integer], y: NDArray[np.integer], normals: tuple[tuple[int, int], ...], reach: int
) -> NDArray[np.bool_]:
    """Inside all half-planes whose normals (length 1024) and distance `reach` are given."""
    inside = x * normals[0][0] + y * normals[0][1] < reach * UNIT
    for a, b in normals[1:]:
        inside &= x * a + y * b < reach * UNIT
    return inside


_TRIANGLE = ((0, 1024), (887, -512), (-887, -512))
_PENTAGON = ((0, 1024), (974, 316), (602, -828), (-602, -828), (-974, 316))


def _triangle(x: NDArray[np.integer], y: NDArray[np.integer]) -> NDArray[np.bool_]:
    return _polygon(x, y, _TRIANGLE, 550)


def _square(x: NDArray[np.integer], y: NDArray[np.integer]) -> NDArray[np.bool_]:
    return np.maximum(np.abs(x), np.abs(y)) < 627  # type: ignore[no-any-return]


def _pentagon(x: NDArray[np.integer], y: NDArray[np.integer]) -> NDArray[np.bool_]:
    return _polygon(x, y, _PENTAGON, 658)


def _star(x: NDArray[np.integer], y: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Five points: inside at least four of the five half-planes of the inner pentagon."""
    violated = np.zeros(x.shape, np.int8)
    for a, b in _PENTAGON:
        violated += x * a + y * b >= 370 * UNIT
    return violated <= 1


def _cross(x: NDArray[np.integer], y: NDArray[np.integer]) -> NDArray[np.bool_]:
    across, along = np.minimum(np.abs(x), np.abs(y)), np.maximum(np.abs(x), np.abs(y))
    return (across < 262) & (along < 880)  # type: ignore[no-any-return]


def _crescent(x: NDArray[np.integer], y: NDArray[np.integer]) -> NDArray[np.bool_]:
    bitten = x - 650
    return (x * x + y * y < 960 * 960) & (bitten * bitten + y * y > 830 * 830)


def _heart(x: NDArray[np.integer], y: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Two lobes on a square that stands on its corner."""
    side, lobe = np.abs(x), y + 330
    lobes = (side - 400) * (side - 400) + lobe * lobe < 430 * 430
    body = (side + np.abs(y + 60) < 800) & (y > -330)
    return lobes | body  # type: ignore[no-any-return]


def _ell(x: NDArray[np.integer], y: NDArray[np.integer]) -> NDArray[np.bool_]:
    upright = (x > -720) & (x < -110) & (y > -900) & (y < 900)
    foot = (x > -720) & (x < 760) & (y > 300) & (y < 900)
    return upright | foot


OUTLINES: dict[str, Inside] = {
    "circle": _circle,
    "ring": _ring,
    "triangle": _triangle,
    "square": _square,
    "pentagon": _pentagon,
    "star": _star,
    "cross": _cross,
    "crescent": _crescent,
    "heart": _heart,
    "ell": _ell,
}


def coverage(
    inside: Inside, x: np.ndarray, y: np.ndarray, step: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """How much of each pixel lies inside: 0 … 4 of its 2 x 2 points.

    Args:
        inside: An outline's test.
        x: The pixels' centres in the object's frame, [images, h, w].
        y: The same for the other axis.
        step: What a quarter of a pixel to the right adds to x and y, [images, 1, 1] each; a quarter
            of a pixel down adds (-step[1], step[0]).
    """
    a, b = step
    total = np.zeros(x.shape, np.int8)
    for right, down in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        dx, dy = right * a - down * b, right * b + down * a
        total += inside(np.clip(x + dx, -4096, 4096), np.clip(y + dy, -4096, 4096))
    return total
