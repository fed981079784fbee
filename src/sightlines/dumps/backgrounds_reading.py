"""Opens dumps of answers to objects on grounds of their own and of other classes."""

from pathlib import Path
from typing import Any

import numpy as np

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader
from sightlines.plan.networks import Network

SUBSETS = ("mixed_same", "mixed_rand")


class BackgroundsDump:
    """What one network answers to objects on other grounds.

    Attributes:
        path: The file.
        network: Whose answers these are.
        images: Of each subset.
        classes: Number of classes.
        is_right: Subset -> whether each image is taken for its class [images].
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
            self.classes = len(self.meta["classes"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._wrong(f"its description lacks {error}") from error
        self.is_right: dict[str, np.ndarray] = {}
        for subset in SUBSETS:
            names = (f"taken.{subset}", f"labels.{subset}")
            for name in names:
                if name not in self._reader or self._reader.shape(name) != (self.images,):
                    raise self._wrong(f"tensor {name} is not one number an image")
            taken, labels = (np.array(self._reader[name]) for name in names)
            self.is_right[subset] = taken == labels
        if not self.images or not self.classes:
            raise self._wrong("it has no images or no classes")

    @property
    def meta(self) -> dict[str, Any]:
        """The file's description."""
        return self._reader.meta

    def _wrong(self, what: str) -> ResultError:
        return ResultError(f"{self.path}: {what}. Delete it and run snakemake again to rebuild it.")
