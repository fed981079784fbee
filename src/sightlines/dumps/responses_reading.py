"""Opens dumps of answers to changed images, or of changed networks; needs no torch."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader
from sightlines.plan.networks import Network


class ResponsesDump:
    """What one network answers under some conditions, of which the first is none.

    Attributes:
        path: The file.
        network: Whose answers these are.
        conditions: Name and severity of each change; ``clean`` is none of them.
        images: Number of images.
        outputs: Number of the network's outputs.
        answers: The output that stands for each class; empty where that is not known.
        places: Where features were taken.
        grid: Rows and columns of the network's tokens, or of its last map.
        has_positions: Whether a position embedding is added to its tokens.
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
            self.conditions = [
                (str(name), float(severity)) for name, severity in meta["conditions"]
            ]
            self.images = int(meta["images"])
            self.outputs = int(meta["outputs"])
            self.answers = np.array(meta["answers"], np.int64)
            self.places: list[str] = list(meta["places"])
            rows, columns = meta["grid"]
            self.grid = int(rows), int(columns)
            self.has_positions = bool(meta["positions"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._wrong(f"its description lacks {error}") from error
        if not self.images or (len(self.answers) and not self.outputs):
            raise self._wrong("it has no images, or no outputs though some stand for classes")

    @property
    def meta(self) -> dict[str, Any]:
        """The file's description."""
        return self._reader.meta

    @property
    def chance(self) -> float:
        """Accuracy of guessing among the network's outputs; NaN without outputs."""
        return 1 / self.outputs if self.outputs else math.nan

    @property
    def labels(self) -> np.ndarray:
        """Class of each image, [images] int64.

        Raises:
            ResultError: there is none, or one is beyond the classes.
        """
        labels = self._tensor("labels", (self.images,))
        if len(self.answers) and not (labels.min() >= 0 and labels.max() < len(self.answers)):
            raise self._wrong(f"it has labels beyond its {len(self.answers)} classes")
        return labels

    def values(self, name: str) -> np.ndarray:
        """One statistic, such as ``log_p``, [images, 1 + conditions]; the first column is clean.

        Raises:
            ResultError: there is none of that name and shape.
        """
        return self._tensor(name, (self.images, 1 + len(self.conditions)))

    def floor(self, place: str) -> np.ndarray:
        """Mean correlation of each image's clean features with other images', [images].

        Raises:
            ResultError: there is none of that place.
        """
        return self._tensor(f"floor.{place}", (self.images,))

    def is_right(self) -> np.ndarray:
        """Whether the most probable output is the right one, [images, 1 + conditions] bool."""
        return self.values("prediction") == self.answers[self.labels][:, None]  # type: ignore[no-any-return]

    def _tensor(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in self._reader or self._reader.shape(name) != shape:
            found = self._reader.shape(name) if name in self._reader else "nothing"
            raise self._wrong(f"tensor {name} should be {shape}, found {found}")
        return np.array(self._reader[name])

    def _wrong(self, what: str) -> ResultError:
        return ResultError(f"{self.path}: {what}. Delete it and run snakemake again to rebuild it.")
