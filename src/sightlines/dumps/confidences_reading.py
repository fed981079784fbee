"""Opens dumps of how sure networks are of images; needs no torch."""

from pathlib import Path
from typing import Any

import numpy as np

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader
from sightlines.plan.networks import Network


class ConfidencesDump:
    """How sure one network is of each of some images.

    Attributes:
        path: The file.
        network: Whose answers these are.
        images: Number of images.
        confidence: The largest probability [images].
        right: Whether the most probable output is that of the image's class [images]; None where no
            outputs are known to stand for the classes.
        right_among: The same among the classes' outputs alone.
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
            self.images = int(self.meta["images"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._wrong(f"its description lacks {error}") from error
        is_there = "confidence" in self._reader
        if not is_there or self._reader.shape("confidence") != (self.images,) or not self.images:
            raise self._wrong("it does not have one confidence an image")
        self.confidence = np.array(self._reader["confidence"])
        if not ((self.confidence > 0) & (self.confidence <= 1)).all():
            raise self._wrong("it has confidences that are no probabilities")

        is_scored = bool(self.meta.get("is_scored"))
        self.right = self._score("right") if is_scored else None
        self.right_among = self._score("right_among") if is_scored else None

    def _score(self, name: str) -> np.ndarray:
        if name not in self._reader or self._reader.shape(name) != (self.images,):
            raise self._wrong(f"it does not have one number an image in {name}")
        return np.array(self._reader[name]).astype(bool)

    @property
    def meta(self) -> dict[str, Any]:
        """The file's description."""
        return self._reader.meta

    def _wrong(self, what: str) -> ResultError:
        return ResultError(f"{self.path}: {what}. Delete it and run snakemake again to rebuild it.")
