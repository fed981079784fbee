"""The ten textures of `shapes`: how two colours are mixed over a surface.

Each maps integer coordinates (256 units = one period, any rotation) to a weight of the second
colour in [0, 255]. Textures are seen on objects and on backgrounds.
"""

from collections.abc import Callable

import numpy as np

from sightlines.datasets.shapes_integers import hash_cells, smooth_noise

Texture = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _where(condition: np.ndarray) -> np.ndarray:
    return condition.astype(np.int32) * 255


def _fold(x: np.ndarray) -> np.ndarray:
    """Triangle wave in [0, 128], one period in 256 units."""
    return np.abs((x & 255) - 128)


def _stripes(x: np.ndarray, _y: np.ndarray, _salt: np.ndarray) -> np.ndarray:
    return _where((x & 255) < 128)


def _checks(x: np.ndarray, y: np.ndarray, _salt: np.ndarray) -> np.ndarray:
    return _where(((x ^ y) & 128) == 0)


def _dots(x: np.ndarray, y: np.ndarray, _salt: np.ndarray) -> np.ndarray:
    dx, dy = (x & 255) - 128, (y & 255) - 128
    return _where(dx * dx + dy * dy < 80 * 80)


def _grain(x: np.ndarray, y: np.ndarray, salt: np.ndarray) -> np.ndarray:
    return (hash_cells(x >> 6, y >> 6, salt) >> np.uint32(24)).astype(np.int32)


def _gradient(x: np.ndarray, _y: np.ndarray, _salt: np.ndarray) -> np.ndarray:
    return np.clip((x >> 3) + 128, 0, 255)


def _rings(x: np.ndarray, y: np.ndarray, _salt: np.ndarray) -> np.ndarray:
    """Octagonal rings around the frame's origin (an integer stand-in for the distance)."""
    far, near = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
    return _where(((far * 15 + near * 6) >> 4 & 255) < 128)


def _zigzag(x: np.ndarray, y: np.ndarray, _salt: np.ndarray) -> np.ndarray:
    return _where(((x + 2 * _fold(y >> 1)) & 255) < 128)


def _bricks(x: np.ndarray, y: np.ndarray, _salt: np.ndarray) -> np.ndarray:
    shifted = x + (y >> 8 & 1) * 256
    return _where(((y & 255) < 80) | ((shifted & 511) < 80))


def _blotches(x: np.ndarray, y: np.ndarray, salt: np.ndarray) -> np.ndarray:
    return np.clip((smooth_noise(x >> 1, y >> 1, salt) - 128) * 6 + 128, 0, 255)


def _mesh(x: np.ndarray, y: np.ndarray, _salt: np.ndarray) -> np.ndarray:
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
