"""Opens dumps of skip connections and branches; needs no torch."""

import itertools
from typing import Any

import numpy as np

from sightlines.dumps.reading import Dump

STATISTICS = ("ratio_sum", "ratio_images", "ratio_median", "cosine_sum", "cosine_images")


class SkipsDump(Dump):
    """Norm ratios and cosines of one network's skip connections and branches.

    Attributes:
        blocks: Number of blocks or units, with those that lack a skip connection.
        prefix_tokens: Tokens before the patches' (CLS, registers).
        has_cls: Whether the first of them is the class token.
        branches: Rows of block, branch (``attn``, ``mlp``, ``mixing``, ``unit``) and tokens.
    """

    def _describe(self) -> None:
        self.blocks: int = self.meta["blocks"]
        self.prefix_tokens: int = self.meta["prefix_tokens"]
        self.has_cls = bool(self.meta.get("class_token", self.prefix_tokens))
        self.branches: list[dict[str, Any]] = self.meta["branches"]
        if not self.branches or not self.batch_sizes:
            raise self._wrong("it has no branches or no minibatches")
        self._edges = [0, *itertools.accumulate(row["tokens"] for row in self.branches)]

    def minibatch(self, index: int) -> np.ndarray:
        """Every one of STATISTICS of one minibatch, [statistics, places] float64.

        Raises:
            ResultError: a tensor has another shape, or holds numbers that are not finite.
        """
        shape = (self._edges[-1],)
        return np.stack([self._tensor(f"{name}.{index:03d}", shape) for name in STATISTICS])

    def places(self, branch: int) -> slice:
        """Where a branch's tokens stand among all places."""
        return slice(self._edges[branch], self._edges[branch + 1])
