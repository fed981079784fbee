"""Opens dumps of minimal perturbations and attacks; needs no torch."""

from pathlib import Path
from typing import Any

import numpy as np

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader
from sightlines.plan.networks import Network


class PerturbationsDump:
    """How one network bears changes that its own gradients find; see `dumps.perturbations`.

    Attributes:
        path: The file.
        network: Whose answers these are.
        images: Number of images; 0 where it is not known which outputs stand for the classes.
        budgets: Largest changes of a level, from 0 to 1.
        steps: Of each attack.
        bands: Of energy along either frequency.
        outputs: Number of the network's outputs.
    """

    def __init__(self, path: Path) -> None:
        """Open a dump.

        Raises:
            ResultError: it is missing or damaged, or its description lacks something.
        """
        self.path = Path(path)
        self._reader = TensorReader(path)
        meta = self.meta
        try:
            self.network = Network(*meta["network"])
            self.images = int(meta["images"])
            self.budgets = [float(budget) for budget in meta["budgets"]]
            self.steps = int(meta["steps"])
            self.bands = int(meta["bands"])
            self.outputs = int(meta["outputs"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._wrong(f"its description lacks {error}") from error

    @property
    def meta(self) -> dict[str, Any]:
        """The file's description."""
        return self._reader.meta

    @property
    def right(self) -> np.ndarray:
        """Whether each clean image is answered rightly, [images] bool."""
        return self._tensor("right", (self.images,)).astype(bool)

    @property
    def moved(self) -> np.ndarray:
        """Whether a perturbation was found that changes the answer, [images] bool."""
        return self._tensor("moved", (self.images,)).astype(bool)

    @property
    def norm(self) -> np.ndarray:
        """Euclidean norm of the minimal perturbations, [images] float32."""
        return self._tensor("norm", (self.images,))

    @property
    def low(self) -> np.ndarray:
        """Share of their energy in the lowest eighth of both frequencies, [images] float32."""
        return self._tensor("low", (self.images,))

    @property
    def energy(self) -> np.ndarray:
        """Shares of their energy by frequency, [images, bands, bands] float32."""
        return self._tensor("energy", (self.images, self.bands, self.bands))

    def fooled(self, by: str) -> np.ndarray:
        """Whether each image is answered wrongly within each budget, [images, budgets] bool.

        Args:
            by: ``fooled``, an attack; ``by_signs``, random signs.
        """
        return self._tensor(by, (self.images, len(self.budgets))).astype(bool)

    def _tensor(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in self._reader or self._reader.shape(name) != shape:
            found = self._reader.shape(name) if name in self._reader else "nothing"
            raise self._wrong(f"tensor {name} should be {shape}, found {found}")
        values = np.array(self._reader[name])
        if not np.isfinite(values).all():
            raise self._wrong(f"tensor {name} holds numbers that are not finite")
        return values

    def _wrong(self, what: str) -> ResultError:
        return ResultError(f"{self.path}: {what}. Delete it and run snakemake again to rebuild it.")
