"""Opens dumps of position embeddings and patch filters; needs no torch."""

import numpy as np

from sightlines.dumps.reading import Dump


class WeightsDump(Dump):
    """Position embeddings and patch filters of one network.

    Attributes:
        grid: Rows and columns of patches.
        std: By which the pixels of each channel are divided.
    """

    def _describe(self) -> None:
        self.grid: tuple[int, int] = tuple(self.meta["grid"])
        self.std: list[float] = list(self.meta["std"])

    @property
    def positions(self) -> np.ndarray | None:
        """Position embeddings [patches, width] float64; None without learned ones.

        Raises:
            ResultError: they are not of this grid, or not finite.
        """
        if "positions" not in self._reader:
            return None
        width = self._reader.shape("positions")[-1]
        return self._tensor("positions", (self.grid[0] * self.grid[1], width)).astype(np.float64)

    @property
    def filters(self) -> np.ndarray | None:
        """Patch filters [filters, 3, height, width] float64, for pixels from 0 to 1; None without.

        Weights act on pixels that were divided by `std`: divided by it they act on the pixels
        themselves, so that networks of different normalisations compare.

        Raises:
            ResultError: they are not finite.
        """
        if "filters" not in self._reader:
            return None
        own = self._tensor("filters", self._reader.shape("filters")).astype(np.float64)
        return own / np.asarray(self.std)[:, None, None]  # type: ignore[no-any-return]
