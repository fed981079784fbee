"""Opens dumps of how alike clean and changed images are, layer by layer; needs no torch."""

from typing import Any

import numpy as np

from sightlines.dumps.reading import Dump


class DepthDump(Dump):
    """Sums of unbiased HSIC of one network's layers, for clean and changed images.

    Attributes:
        conditions: Name and severity of each change.
        rows: Name, block and depth of each row: the pixels, then layers.
    """

    def _describe(self) -> None:
        self.conditions = [(str(n), float(s)) for n, s in self.meta["conditions"]]
        self.rows: list[dict[str, Any]] = self.meta["rows"]
        if not self.rows or not self.batch_sizes:
            raise self._wrong("it has no rows or no minibatches")

    def own(self, minibatch: int) -> np.ndarray:
        """Of clean images with themselves, [rows] float64.

        Raises:
            ResultError: the tensor has another shape, or holds numbers that are not finite.
        """
        return self._tensor(f"own.{minibatch:03d}", (len(self.rows),))

    def changed(self, minibatch: int) -> np.ndarray:
        """Of changed images with themselves, [conditions, rows] float64.

        Raises:
            ResultError: see `own`.
        """
        return self._tensor(f"changed.{minibatch:03d}", (len(self.conditions), len(self.rows)))

    def cross(self, minibatch: int) -> np.ndarray:
        """Of clean with changed images, [conditions, rows] float64.

        Raises:
            ResultError: see `own`.
        """
        return self._tensor(f"cross.{minibatch:03d}", (len(self.conditions), len(self.rows)))
