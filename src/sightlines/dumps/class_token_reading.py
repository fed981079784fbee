"""Opens dumps of the class token's Gram matrices; needs no torch."""

import numpy as np

from sightlines.dumps.reading import GramDump


class ClassTokenDump(GramDump):
    """Gram matrices of the class token of one network.

    Attributes:
        layers: Rows of the network's layer table, of the layers that have the token.
        places: Their places among all of the network's layers.
    """

    def _describe(self) -> None:
        super()._describe()
        self.places = np.array([row["index"] for row in self.layers], int)
        self._prefix_tokens: int = self.meta["prefix_tokens"]

    def prefix(self, minibatch: int) -> np.ndarray:
        """Grams of all tokens before the patches', packed as `packed` gives the class token's.

        Raises:
            ResultError: the tensor has another shape, or holds numbers that are not finite.
        """
        if self._prefix_tokens == 1:
            return self.packed(minibatch)
        n = self.batch_sizes[minibatch]
        return self._tensor(f"prefix.{minibatch:03d}", (len(self.layers), n * (n + 1) // 2))
