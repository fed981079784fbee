"""Opens dumps of attention that is not a plain ViT's; needs no torch."""

from typing import Any

import numpy as np

from sightlines.dumps.reading import Dump


class AttentionSitesDump(Dump):
    """Per-head statistics of every attention of one network.

    Attributes:
        sites: Of every attention: module, heads, windows, queries, keys, uniform_px, applied.
    """

    def _describe(self) -> None:
        self.sites: list[dict[str, Any]] = self.meta["sites"]
        if not self.sites:
            raise self._wrong("it has no sites")

    @property
    def rows(self) -> int:
        """Heads of all sites."""
        return sum(site["heads"] for site in self.sites)

    def per_image(self, statistic: str, minibatch: int) -> np.ndarray:
        """One statistic (such as ``distance_px``) as [images, rows] float32."""
        shape = (self.batch_sizes[minibatch], self.rows)
        return self._tensor(f"{statistic}.{minibatch:03d}", shape)

    def whole(self, statistic: str) -> np.ndarray:
        """One statistic of all images, [images, rows] float64."""
        parts = [self.per_image(statistic, index) for index in range(len(self.batch_sizes))]
        return np.concatenate(parts).astype(np.float64)
