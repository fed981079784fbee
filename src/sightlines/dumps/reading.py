"""Opens dumps and checks that they are what a measurement believes; needs no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader
from sightlines.plan.networks import Network


class Dump:
    """What all dumps of reference images have in common.

    Attributes:
        path: The file.
        network: Whose representations these are.
        reference_sha256: Identity of the reference images and of their order.
        batch_sizes: Images of each minibatch.
    """

    def __init__(self, path: Path) -> None:
        """Open a dump.

        Raises:
            ResultError: it is missing or damaged, or its description lacks something.
        """
        self.path = Path(path)
        self._reader = TensorReader(path)
        try:
            self.network = Network(*self.meta["network"])
            self.reference_sha256: str = self.meta["reference_sha256"]
            self.batch_sizes: list[int] = list(self.meta["batch_sizes"])
            self._describe()
        except (KeyError, TypeError) as error:
            raise self._wrong(f"its description lacks {error}") from error

    @property
    def meta(self) -> dict[str, Any]:
        """The file's description."""
        return self._reader.meta

    def _describe(self) -> None:
        """Check what one kind of dump has of its own."""

    def _tensor(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in self._reader or self._reader.shape(name) != shape:
            found = self._reader.shape(name) if name in self._reader else "nothing"
            raise self._wrong(f"tensor {name} should be {shape}, found {found}")
        array = np.asarray(self._reader[name])
        if not np.isfinite(array).all():
            raise self._wrong(f"tensor {name} holds numbers that are not finite")
        return array

    def _wrong(self, what: str) -> ResultError:
        return ResultError(f"{self.path}: {what}. Delete it and run snakemake again to rebuild it.")


class GramDump(Dump):
    """Gram matrices of one network's layers.

    Attributes:
        layers: The layer table: index, name, kind, block, depth, features.
    """

    def _describe(self) -> None:
        self.layers: list[dict[str, Any]] = self.meta["layers"]
        if not self.layers or not self.batch_sizes:
            raise self._wrong("it has no layers or no minibatches")

    def packed(self, minibatch: int) -> np.ndarray:
        """Upper triangles with diagonals, [layers, n(n+1)/2] float32, mapped from the file.

        Raises:
            ResultError: the tensor has another shape, or holds numbers that are not finite.
        """
        n = self.batch_sizes[minibatch]
        return self._tensor(f"gram.{minibatch:03d}", (len(self.layers), n * (n + 1) // 2))

    def largest(self, minibatch: int) -> np.ndarray:
        """Largest absolute activation of each layer, [layers] float32.

        Raises:
            ResultError: the dump has no such tensor, or numbers that are not finite.
        """
        return self._tensor(f"largest.{minibatch:03d}", (len(self.layers),))

    def median(self, minibatch: int) -> np.ndarray:
        """Median absolute activation of those that are not 0, [layers] float32; 0 if all are.

        Raises:
            ResultError: the dump has no such tensor, or numbers that are not finite.
        """
        return self._tensor(f"median.{minibatch:03d}", (len(self.layers),))


class AttentionDump(Dump):
    """Per-head statistics of one network's attention.

    Attributes:
        blocks: Number of attention layers.
        heads: Heads of each.
        uniform_px: Mean distance of attention that is uniform over the patches.
    """

    def _describe(self) -> None:
        self.blocks: int = self.meta["blocks"]
        self.heads: int = self.meta["heads"]
        self.uniform_px: float = self.meta["uniform_px"]
        self.grid: tuple[int, int] = tuple(self.meta["grid"])

    def per_image(self, statistic: str, minibatch: int) -> np.ndarray:
        """One statistic (such as ``distance_px``) as [images, blocks, heads] float32."""
        shape = (self.batch_sizes[minibatch], self.blocks, self.heads)
        return self._tensor(f"{statistic}.{minibatch:03d}", shape)

    def offset_mass(self) -> np.ndarray:
        """Attention by relative offset, [blocks, heads, 2h-1, 2w-1] float32."""
        height, width = self.grid
        shape = (self.blocks, self.heads, 2 * height - 1, 2 * width - 1)
        return self._tensor("offset_mass", shape)


def check_networks(dumps: Sequence[Any], networks: Sequence[str]) -> None:
    """Check that dumps of any kind are of the networks expected, in order.

    Raises:
        ResultError: naming what was found.
    """
    if [dump.network.slug for dump in dumps] != list(networks):
        found = ", ".join(f"{d.path} is of {d.network.slug}" for d in dumps)
        raise ResultError(f"expected dumps of {', '.join(networks)}, but {found or 'got none'}")


def check_together(dumps: Sequence[Dump], networks: Sequence[str]) -> None:
    """Check that dumps are of the networks expected, and of one set of reference images.

    Raises:
        ResultError: naming the file that does not belong, or two that do not go together.
    """
    check_networks(dumps, networks)
    for dump in dumps[1:]:
        first = dumps[0]
        same = (dump.reference_sha256, dump.batch_sizes) == (
            first.reference_sha256,
            first.batch_sizes,
        )
        if not same:
            raise ResultError(
                f"{first.path} and {dump.path} are of different reference images or minibatches "
                "and cannot be compared. Delete the older one and run snakemake again."
            )
