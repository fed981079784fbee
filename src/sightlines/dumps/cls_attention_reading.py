"""Opens dumps of the class token's attention; needs no torch."""

import numpy as np
from numpy.typing import NDArray

from sightlines.dumps.reading import Dump


class ClsAttentionDump(Dump):
    """Attention and rollout of the class token of one network, for some reference images.

    Attributes:
        grid: Rows and columns of patches.
        blocks: Number of attention layers.
        heads: Heads of each.
        tokens: All tokens of an image.
        kept: Images of each minibatch.
        has_class_token: Whether it is a class token's; else the mean of the patches'.
        has_masks: Whether it is known where the objects are.
        is_weighted: Whether there is a rollout with measured skips.
    """

    def _describe(self) -> None:
        self.grid: tuple[int, int] = tuple(self.meta["grid"])
        self.blocks: int = self.meta["blocks"]
        self.heads: int = self.meta["heads"]
        self.kept: list[int] = list(self.meta["kept"])
        self.has_class_token: bool = self.meta["has_class_token"]
        self.has_masks: bool = self.meta["has_masks"]
        self.is_weighted: bool = self.meta["is_weighted"]
        self.tokens: int = self.meta["prefix_tokens"] + self.patches
        if not self.kept:
            raise self._wrong("it has no images")

    @property
    def patches(self) -> int:
        """Patches of an image."""
        return self.grid[0] * self.grid[1]

    @property
    def images(self) -> int:
        """Images whose attention was kept."""
        return sum(self.kept)

    def attention(self, block: int) -> np.ndarray:
        """Attention of one block [images, heads, patches] float64, as a share of all patches'."""
        shape = (self.blocks, self.heads, self.patches)
        parts = [
            self._tensor(f"attention.{index:03d}", (count, *shape))[:, block]
            for index, count in enumerate(self.kept)
        ]
        return shares(np.concatenate(parts).astype(np.float64))

    def rollout(self, name: str = "rollout") -> np.ndarray:
        """Rollout after each block [images, blocks, patches] float64, as a share of all patches'.

        Args:
            name: ``rollout``, or ``weighted`` by measured skips.
        """
        return shares(self._whole(name, self.blocks, self.patches))

    def own(self) -> np.ndarray:
        """What the rollout keeps of the token itself [images, blocks] float64."""
        return self._whole("own", self.blocks)

    def brightness(self) -> np.ndarray:
        """Mean luminance of each patch [images, patches] float64."""
        return self._whole("brightness", self.patches)

    def objects(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixels of every patch that are an object's, and that are labelled.

        Returns:
            Of each mask [masks, patches] and of each image [images, patches], float64; and the
            image of each mask [masks].
        """
        count = self._reader.shape("mask_image")[0]
        objects = self._tensor("objects", (count, self.patches)).astype(np.float64)
        valid = self._tensor("valid", (self.images, self.patches)).astype(np.float64)
        return objects, valid, self._tensor("mask_image", (count,))

    def pictures(self) -> np.ndarray:
        """The first few images [images, side, side, 3] uint8."""
        side = self.meta["picture_px"]
        return self._tensor("pictures", (self.meta["pictures"], side, side, 3))

    def _whole(self, name: str, *shape: int) -> np.ndarray:
        parts = [
            self._tensor(f"{name}.{index:03d}", (count, *shape))
            for index, count in enumerate(self.kept)
        ]
        return np.concatenate(parts).astype(np.float64)


def shares(maps: NDArray[np.floating]) -> NDArray[np.floating]:
    """Maps [..., patches] that sum to 1; one of zeros is uniform."""
    kept = np.maximum(maps, 0)
    total = kept.sum(axis=-1, keepdims=True)
    uniform = np.full_like(kept, 1 / kept.shape[-1])
    return np.divide(kept, total, out=uniform, where=total > 0)  # type: ignore[no-any-return]
