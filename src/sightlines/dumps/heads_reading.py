"""Opens dumps of heads' Gram matrices; needs no torch."""

import numpy as np

from sightlines.dumps.reading import Dump


class HeadsDump(Dump):
    """Gram matrices of the heads of one network's first block.

    Attributes:
        heads: Their number.
    """

    def _describe(self) -> None:
        self.heads: int = self.meta["heads"]
        if not self.heads or not self.batch_sizes:
            raise self._wrong("it has no heads or no minibatches")

    def packed(self, minibatch: int) -> np.ndarray:
        """Upper triangles with diagonals, [heads, n(n+1)/2] float32, mapped from the file.

        Raises:
            ResultError: the tensor has another shape, or holds numbers that are not finite.
        """
        n = self.batch_sizes[minibatch]
        return self._tensor(f"gram.{minibatch:03d}", (self.heads, n * (n + 1) // 2))
