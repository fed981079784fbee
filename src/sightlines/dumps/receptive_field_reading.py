"""Opens dumps of receptive fields; needs no torch."""

from typing import Any

import numpy as np

from sightlines.dumps.reading import Dump


class ReceptiveFieldDump(Dump):
    """Mean absolute gradients of the centres of one network's layers.

    Attributes:
        layers: Name, block, depth, variant, branch, and centre in px, of each layer.
        size_px: Side of the images.
        group_sizes: Images of each group.
    """

    def _describe(self) -> None:
        self.layers: list[dict[str, Any]] = self.meta["layers"]
        self.size_px: int = self.meta["size_px"]
        self.group_sizes: list[int] = self.meta["group_sizes"]
        if not self.layers or not self.group_sizes:
            raise self._wrong("it has no layers or no images")

    def group_sums(self, layer: int) -> np.ndarray:
        """Absolute gradients summed over the images of each group, [groups, h, w] float64.

        Raises:
            ResultError: the tensor has another shape, or holds numbers that are not finite.
        """
        shape = (len(self.group_sizes), self.size_px, self.size_px)
        means = self._tensor(f"gradient.{layer:03d}", shape).astype(np.float64)
        return means * np.asarray(self.group_sizes, np.float64)[:, None, None]
