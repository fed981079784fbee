"""Opens dumps of how alike cue conflicts and those with one cue changed are; needs no torch."""

from pathlib import Path
from typing import Any

import numpy as np

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader
from sightlines.plan.networks import Network


class ConflictDepthDump:
    """Sums of unbiased HSIC of one network's layers, as `DepthDump` has them of reference images.

    Attributes:
        path: The file.
        network: Whose representations these are.
        batch_sizes: Images of each minibatch.
        conditions: Name and severity of each change.
        rows: Name, block and depth of each row: the pixels, then layers.
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
            self.batch_sizes = [int(size) for size in self.meta["batch_sizes"]]
            self.conditions = [(str(n), float(s)) for n, s in self.meta["conditions"]]
            self.rows: list[dict[str, Any]] = self.meta["rows"]
        except (KeyError, TypeError, ValueError) as error:
            raise self._wrong(f"its description lacks {error}") from error

    @property
    def meta(self) -> dict[str, Any]:
        """The file's description."""
        return self._reader.meta

    def own(self, minibatch: int) -> np.ndarray:
        """Of images with themselves, [rows] float64.

        Raises:
            ResultError: the tensor has another shape, or holds numbers that are not finite.
        """
        return self._sums(f"own.{minibatch:03d}", (len(self.rows),))

    def changed(self, minibatch: int) -> np.ndarray:
        """Of changed images with themselves, [conditions, rows] float64.

        Raises:
            ResultError: see `own`.
        """
        return self._sums(f"changed.{minibatch:03d}", (len(self.conditions), len(self.rows)))

    def cross(self, minibatch: int) -> np.ndarray:
        """Of images with the changed ones, [conditions, rows] float64.

        Raises:
            ResultError: see `own`.
        """
        return self._sums(f"cross.{minibatch:03d}", (len(self.conditions), len(self.rows)))

    def _sums(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in self._reader or self._reader.shape(name) != shape:
            found = self._reader.shape(name) if name in self._reader else "nothing"
            raise self._wrong(f"tensor {name} should be {shape}, found {found}")
        array = np.asarray(self._reader[name])
        if not np.isfinite(array).all():
            raise self._wrong(f"tensor {name} holds numbers that are not finite")
        return array

    def _wrong(self, what: str) -> ResultError:
        return ResultError(f"{self.path}: {what}. Delete it and run snakemake again to rebuild it.")
