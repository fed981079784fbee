"""The ten textures of `shapes`: how two colours are mixed over a surface.

Each maps integer coordinates (256 units = one period, any rotation) to a weight of the second
colour in [0, 255]. Textures are seen on objects and on backgrounds.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sightlines.datasets.shapes_integers import hash_cells, smooth_noise

Texture = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _where(condition: NDArray[np.bool_]) -> NDArray[np.int32]:
    return condition.astype(np.int32) * 255


def _fold(x: NDArray[np.integer]) -> NDArray[np.integer]:
    """Triangle wave in [0, 128], one period in 256 units."""
    return np.abs((x & 255) - 128)  # type: ignore[no-any-return]


def _stripes(
    x: NDArray[np.integer], _y: NDArray[np.integer], _salt: NDArray[np.integer]
) -> NDArray[np.integer]:
    return _where((x & 255) < 128)


def _checks(
    x: NDArray[np.integer], y: NDArray[np.integer], _salt: NDArray[np.integer]
) -> NDArray[np.integer]:
    return _where(((x ^ y) & 128) == 0)


def _dots(
    x: NDArray[np.integer], y: NDArray[np.integer], _salt: NDArray[np.integer]
) -> NDArray[np.integer]:
    dx, dy = (x & 255) - 128, (y & 255) - 128
    return _where(dx * dx + dy * dy < 80 * 80)


def _grain(
    x: NDArray[np.integer], y: NDArray[np.integer], salt: NDArray[np.integer]
) -> NDArray[np.integer]:
    return (hash_cells(x >> 6, y >> 6, salt) >> np.uint32(24)).astype(np.int32)


def _gradient(
    x: NDArray[np.integer], _y: NDArray[np.integer], _salt: NDArray[np.integer]
) -> NDArray[np.integer]:
    return np.clip((x >> 3) + 128, 0, 255)  # type: ignore[no-any-return]


def _rings(
    x: NDArray[np.integer], y: NDArray[np.integer], _salt: NDArray[np.integer]
) -> NDArray[np.integer]:
    """Octagonal rings around the frame's origin (an integer stand-in for the distance)."""
    far, near = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
    return _where(((far * 15 + near * 6) >> 4 & 255) < 128)


def _zigzag(
    x: NDArray[np.integer], y: NDArray[np.integer], _salt: NDArray[np.integer]
) -> NDArray[np.integer]:
    return _where(((x + 2 * _fold(y >> 1)) & 255) < 128)


def _bricks(
    x: NDArray[np.integer], y: NDArray[np.integer], _salt: NDArray[np.integer]
) -> NDArray[np.integer]:
    shifted = x + (y >> 8 & 1) * 256
    return _where(((y & 255) < 80) | ((shifted & 511) < 80))


def _blotches(
    x: NDArray[np.integer], y: NDArray[np.integer], salt: NDArray[np.integer]
) -> NDArray[np.integer]:
    return np.clip((smooth_noise(x >> 1, y >> 1, salt) - 128) * 6 + 128, 0, 255)  # type: ignore[no-any-return]


def _mesh(
    x: NDArray[np.integer], y: NDArray[np.integer], _salt: NDArray[np.integer]
) -> NDArray[np.integer]:
    return _where(np.minimum(x & 255, y & 255) < 72)


TEXTURES: dict[str, Texture] = {
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "grain": _grain,
    "gradient": _gradient,
    "rings": _rings,
    "zigzag": _zigzag,
    "bricks": _bricks,
    "blotches": _blotches,
    "mesh": _mesh,
}
