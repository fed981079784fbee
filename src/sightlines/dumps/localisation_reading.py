"""Opens dumps of tokens' HSICs with patches of pixels; needs no torch."""

from typing import Any

import numpy as np

from sightlines.dumps.reading import Dump


class LocalisationDump(Dump):
    """HSICs of one network's tokens with patches, n(n-3) HSIC₁ of each minibatch, float64.

    Attributes:
        grid: Rows and columns of the tokens, and of the patches.
        tokens: Their number; patches are as many, numbered row after row.
        layers: Rows of the layer table (index, name, kind, block, depth) with `positions`, rows
            and columns of the layer's own map.
        has_cls: Whether there is a class token.
    """

    def _describe(self) -> None:
        self.grid: tuple[int, int] = (self.meta["grid"][0], self.meta["grid"][1])
        self.tokens = self.grid[0] * self.grid[1]
        self.layers: list[dict[str, Any]] = self.meta["layers"]
        self.has_cls = bool(self.meta.get("class_token", self.meta["prefix_tokens"]))
        if not self.layers or not self.batch_sizes or not self.tokens:
            raise self._wrong("it has no layers, no minibatches or no tokens")

    def cross(self, minibatch: int) -> np.ndarray:
        """Every token with every patch, [layers, tokens, patches]."""
        shape = (len(self.layers), self.tokens, self.tokens)
        return self._tensor(f"cross.{minibatch:03d}", shape)

    def own_tokens(self, minibatch: int) -> np.ndarray:
        """Every token with itself, [layers, tokens]."""
        return self._tensor(f"own_tokens.{minibatch:03d}", (len(self.layers), self.tokens))

    def patches(self, minibatch: int) -> np.ndarray:
        """Every patch with every patch, [patches, patches]."""
        return self._tensor(f"patches.{minibatch:03d}", (self.tokens, self.tokens))

    def cross_cls(self, minibatch: int) -> np.ndarray:
        """The class token with every patch, [layers, patches]."""
        return self._tensor(f"cross_cls.{minibatch:03d}", (len(self.layers), self.tokens))

    def own_cls(self, minibatch: int) -> np.ndarray:
        """The class token with itself, [layers]."""
        return self._tensor(f"own_cls.{minibatch:03d}", (len(self.layers),))
