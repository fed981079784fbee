"""Integer arithmetic for `shapes`: draws, sines, hashes and noise that are equal on every machine.

Vectorised floating-point sines differ in their last bit between processors; nothing here, and
nothing that leads to a pixel of `shapes`, is a float. Angles are steps of 1/4096 turn, lengths
are 1/256 px (`PX`), sines have 30 fractional bits.
"""

import functools

import numpy as np
from jaxtyping import Int32, Int64, UInt32
from numpy.typing import NDArray

from sightlines.core import seeds

PX = 256
TURN = 4096
_PI_96 = 0x3243F6A8885A308D313198A2E
_ONE_96 = 1 << 96
_PI_BITS = 96


class Draws:
    """Named streams of integers from one root seed: one stream a property, one number an image.

    Philox's raw words are fixed by its definition; NumPy's own `integers` may change its
    method between versions, so the reduction to a range is done here.
    """

    def __init__(self, seed: int, split: str, count: int) -> None:
        """Draw `count` numbers a stream for the images of `split`."""
        self._seed, self._split, self.count = seed, split, count

    def raw(self, name: str, width: int = 1) -> NDArray[np.int64]:
        """32 random bits, int64 [count, width]."""
        words = seeds.generator(self._seed, "shapes", self._split, name)
        drawn = words.bit_generator.random_raw(self.count * width)
        return (drawn >> np.uint64(32)).astype(np.int64).reshape(self.count, width)

    def below(self, name: str, bound: int | np.ndarray, width: int = 1) -> NDArray[np.int64]:
        """Integers in [0, bound), int64 [count, width]."""
        return self.raw(name, width) * bound >> 32

    def between(self, name: str, low: int, high: int, width: int = 1) -> NDArray[np.int64]:
        """Integers in [low, high], int64 [count, width]."""
        return low + self.below(name, high - low + 1, width)

    def shuffled(self, name: str) -> Int64[np.ndarray, " images"]:
        """A permutation of the images."""
        return np.argsort(self.raw(name)[:, 0], kind="stable").astype(np.int64)


@functools.cache
def _quarter_sine() -> tuple[int, ...]:
    """Sines of 0 … 1/4 turn with 30 fractional bits, rounded, from Taylor's series in integers."""
    table = []
    for step in range(TURN // 4 + 1):
        x = _PI_96 * 2 * step // TURN
        total = term = x
        order = 1
        while term:
            term = -(term * x >> _PI_BITS) * x >> _PI_BITS
            term //= (order + 1) * (order + 2)
            total += term
            order += 2
            if abs(term) < 2:
                break
        table.append((total + (1 << 65)) >> 66)
    return tuple(table)


@functools.cache
def _sine_table() -> NDArray[np.int64]:
    quarter = _quarter_sine()
    half = [*quarter, *quarter[-2::-1]]
    table = np.array([*half, *(-value for value in half[1:-1])], np.int64)
    table.flags.writeable = False
    return table


def sine(steps: NDArray[np.integer]) -> NDArray[np.int64]:
    """Sine of `steps` / 4096 turn, int64 with 30 fractional bits."""
    return _sine_table()[steps % TURN]  # type: ignore[no-any-return]


def cosine(steps: NDArray[np.integer]) -> NDArray[np.int64]:
    """Cosine of `steps` / 4096 turn, int64 with 30 fractional bits."""
    return sine(steps + TURN // 4)


def grid(size_px: int) -> tuple[Int32[np.ndarray, "1 1 w"], Int32[np.ndarray, "1 h 1"]]:
    """Columns and rows of the pixels' centres, in 1/256 px."""
    centres = (np.arange(size_px, dtype=np.int32) * PX + PX // 2).astype(np.int32)
    return centres[None, None, :], centres[None, :, None]


def per_image(values: np.ndarray) -> Int32[np.ndarray, "images 1 1"]:
    """One number an image, ready to meet pixels."""
    return values.astype(np.int32).reshape(-1, 1, 1)


def hash_cells(x: np.ndarray, y: np.ndarray, salt: np.ndarray) -> UInt32[np.ndarray, "..."]:
    """32 well-mixed bits for each cell (x, y) of each image (`salt`), by integer hashing."""
    with np.errstate(over="ignore"):
        h = x.astype(np.uint32) * np.uint32(0x9E3779B1) + y.astype(np.uint32) * np.uint32(
            0x85EBCA77
        )
        h = h + salt.astype(np.uint32)
        h ^= h >> np.uint32(16)
        h *= np.uint32(0x21F0AAAD)
        h ^= h >> np.uint32(15)
        h *= np.uint32(0x735A2D97)
        h ^= h >> np.uint32(15)
    return h


def smooth_noise(
    x: Int32[NDArray[np.int32], "images h w"],
    y: Int32[NDArray[np.int32], "images h w"],
    salt: np.ndarray,
) -> Int32[np.ndarray, "images h w"]:
    """Value noise in [0, 255], cells of 256 units, interpolated linearly."""
    column, row = x >> 8, y >> 8
    right, down = x & 255, y & 255

    def corner(dx: int, dy: int) -> NDArray[np.int32]:
        return (hash_cells(column + dx, row + dy, salt) >> np.uint32(24)).astype(np.int32)

    top = corner(0, 0) * (256 - right) + corner(1, 0) * right
    bottom = corner(0, 1) * (256 - right) + corner(1, 1) * right
    return (top * (256 - down) + bottom * down) >> 16  # type: ignore[no-any-return]
