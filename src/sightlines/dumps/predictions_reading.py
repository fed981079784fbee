"""Opens dumps of predictions; needs no torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader
from sightlines.plan.networks import Network

MOST_NUMBERS = 2**22
"""Outputs that are read at once, at most."""


class PredictionsDump:
    """What one network answers on labelled images.

    Attributes:
        path: The file.
        network: Whose answers these are.
        classes: Names of the images' classes, in the order of their labels.
        outputs: Number of the network's outputs.
        answers: The output that stands for each class; empty where that is not known.
        images: Subset (test, validation, train) -> number of images; only those that there are.
        train_images: Images that the network was trained on here.
        is_imported: Whether it was trained elsewhere; then the subsets together are all images.
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
            self.classes: list[str] = list(meta["classes"])
            self.outputs = int(meta["outputs"])
            self.answers: Int64[np.ndarray, " classes"] = np.array(meta["answers"], np.int64)
            self.images: dict[str, int] = dict(meta["images"])
            self.train_images = int(meta["train_images"])
            self.is_imported = bool(meta["is_imported"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._wrong(f"its description lacks {error}") from error
        is_one_each = self.answers.shape == (len(self.classes),)
        if len(self.answers) and not (is_one_each and self._are_places(self.answers, self.outputs)):
            raise self._wrong("its answers are not one of its outputs for each class")
        if "test" not in self.images:
            raise self._wrong("it has no test images")
        for subset, images in self.images.items():
            self._require(f"labels.{subset}", (images,))
            if len(self.answers):
                self._require(f"logits.{subset}", (images, self.outputs))

    @property
    def meta(self) -> dict[str, Any]:
        """The file's description."""
        return self._reader.meta

    @property
    def chance(self) -> float:
        """Accuracy of guessing among the network's outputs."""
        return 1 / max(self.outputs, 1)

    def labels(self, subset: str) -> Int64[np.ndarray, " images"]:
        """Class of each image.

        Raises:
            ResultError: one is beyond the classes.
        """
        labels = np.array(self._reader[f"labels.{subset}"])
        if not self._are_places(labels, max(len(self.classes), 1)):
            raise self._wrong(f"it has labels beyond its {len(self.classes)} classes")
        return labels

    def logits(self, subset: str) -> Iterator[Float32[np.ndarray, "images outputs"]]:
        """Outputs for the images, some at a time, in the order of `labels`.

        Raises:
            ResultError: they are not known, or hold numbers that are not finite.
        """
        name = f"logits.{subset}"
        values = self._reader[name]
        step = max(MOST_NUMBERS // max(self.outputs, 1), 1)
        for start in range(0, len(values), step):
            part = np.asarray(values[start : start + step])
            if not np.isfinite(part).all():
                raise self._wrong(f"tensor {name} holds numbers that are not finite")
            yield part

    @staticmethod
    def _are_places(values: np.ndarray, count: int) -> bool:
        return values.size == 0 or bool(values.min() >= 0 and values.max() < count)

    def _require(self, name: str, shape: tuple[int, ...]) -> None:
        found = self._reader.shape(name) if name in self._reader else "nothing"
        if found != shape:
            raise self._wrong(f"tensor {name} should be {shape}, found {found}")

    def _wrong(self, what: str) -> ResultError:
        return ResultError(f"{self.path}: {what}. Delete it and run snakemake again to rebuild it.")
