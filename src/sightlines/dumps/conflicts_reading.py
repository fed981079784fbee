"""Opens dumps of answers to cue conflicts; needs no torch."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader
from sightlines.plan.networks import Network


class ConflictsDump:
    """What one network answers where outline and surface are of different classes.

    Attributes:
        path: The file.
        network: Whose answers these are.
        outputs: Names of its outputs; none where it has no last layer.
        answers: The output that stands for each class of the experiment's images; may be none.
        classes: These classes.
        categories: What outlines and surfaces are told by.
        subsets: ``conflict``, ``silhouette``.
        is_generated: Whether they are images of the experiment's dataset, whose classes are the
            categories.
        cue_match: Share of the dataset's images whose surface is their class's own; NaN where that
            is not known.
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
            self.outputs: list[str] = list(meta["outputs"])
            self.answers: list[int] = list(meta["answers"])
            self.classes: list[str] = list(meta["classes"])
            self.categories: list[str] = list(meta["categories"])
            self.subsets: list[str] = list(meta["subsets"])
            self.is_generated = bool(meta["is_generated"])
            self.cue_match = np.nan if meta["cue_match"] is None else float(meta["cue_match"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._wrong(f"its description lacks {error}") from error

    @property
    def meta(self) -> dict[str, Any]:
        """The file's description."""
        return self._reader.meta

    def logits(self, subset: str) -> Float32[np.ndarray, "images outputs"]:
        """Outputs for the images of a subset.

        Raises:
            ResultError: there are none, or they hold numbers that are not finite.
        """
        values = self._tensor(f"logits.{subset}", (*self.shape(subset).shape, len(self.outputs)))
        if not np.isfinite(values).all():
            raise self._wrong(f"tensor logits.{subset} holds numbers that are not finite")
        return values

    def shape(self, subset: str) -> Int64[np.ndarray, " images"]:
        """The outline's category of each image."""
        return self._cue("shape", subset)

    def texture(self, subset: str) -> Int64[np.ndarray, " images"]:
        """The surface's category of each image."""
        return self._cue("texture", subset)

    def _cue(self, cue: str, subset: str) -> np.ndarray:
        name = f"{cue}.{subset}"
        if name not in self._reader:
            raise self._wrong(f"it has no tensor {name}")
        found = np.array(self._reader[name])
        if found.ndim != 1 or (found.size and not 0 <= found.min() <= found.max() < self._count):
            raise self._wrong(f"tensor {name} is not one of {self._count} categories an image")
        return found

    @property
    def _count(self) -> int:
        return len(self.categories)

    def _tensor(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in self._reader or self._reader.shape(name) != shape:
            found = self._reader.shape(name) if name in self._reader else "nothing"
            raise self._wrong(f"tensor {name} should be {shape}, found {found}")
        return np.asarray(self._reader[name])

    def _wrong(self, what: str) -> ResultError:
        return ResultError(f"{self.path}: {what}. Delete it and run snakemake again to rebuild it.")
