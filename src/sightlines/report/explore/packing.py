"""Numbers for the page: many in few characters, and only as many as fit.

A value is an unsigned number of 16 bits, in ten-thousandths above `LOWEST`, so that what the page
shows to four decimals is what the table has; all numbers of a page are one text in base64, little
end first.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

STEP = 1e-4
LOWEST = -2.0
UNDEFINED = 65535
"""A value that does not exist."""
BUDGET_BYTES = 2_500_000
"""Characters of base64 that an explorer may have."""


def packed(values: np.ndarray) -> np.ndarray:
    """Values as uint16; what is not finite is `UNDEFINED`, what is out of the scale at its end."""
    values = np.asarray(values, np.float64)
    steps = np.round(values / STEP) - round(LOWEST / STEP)
    steps = np.where(np.isfinite(values), np.clip(steps, 0, UNDEFINED - 1), UNDEFINED)
    return np.asarray(steps, "<u2")


def room(budget: int = BUDGET_BYTES) -> int:
    """How many numbers fit into so many characters."""
    return budget // 4 * 3 // 2


@dataclass
class Numbers:
    """All numbers of a page, one after the other."""

    parts: list[np.ndarray] = field(default_factory=list)
    count: int = 0

    def add(self, values: np.ndarray) -> int:
        """Add some, row after row.

        Returns:
            The place of the first.
        """
        place = self.count
        self.parts.append(packed(values).ravel())
        self.count += self.parts[-1].size
        return place

    def text(self) -> str:
        """All of them in base64."""
        whole = np.concatenate(self.parts) if self.parts else np.zeros(0, "<u2")
        return base64.b64encode(whole.tobytes()).decode()


@dataclass(frozen=True)
class Wish:
    """A map that would be on the page if there is room.

    Attributes:
        cells: Cells of all sub-layers.
        block_cells: Cells of block outputs alone.
    """

    cells: int
    block_cells: int


ALL, BLOCKS, NOTHING = "all", "blocks", ""
"""What of a map is on the page: every sub-layer, block outputs alone, or none of it."""


def choose(wishes: Sequence[Wish], limit: int) -> list[tuple[str, bool]]:
    """What of each map there is room for, the first ones before the last.

    Block outputs with their errors come first, for as many maps as fit; then values of all
    sub-layers; then their errors.

    Args:
        wishes: Maps, the ones that matter most first.
        limit: How many numbers there may be.

    Returns:
        For each map ALL, BLOCKS or NOTHING, and whether it has standard errors.
    """
    found: list[tuple[str, bool]] = []
    left = limit
    for wish in wishes:
        fits = 2 * wish.block_cells <= left
        found.append((BLOCKS, True) if fits else (NOTHING, False))
        left -= 2 * wish.block_cells if fits else 0
    for place, wish in enumerate(wishes):
        more = wish.cells - 2 * wish.block_cells
        if found[place][0] and more <= left:
            found[place] = (ALL, False)
            left -= more
    for place, wish in enumerate(wishes):
        if found[place] == (ALL, False) and wish.cells <= left:
            found[place] = (ALL, True)
            left -= wish.cells
    return found
