"""Opens dumps of labelled features; needs no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader
from sightlines.dumps.reading import check_networks
from sightlines.plan.networks import Network

TRAIN, HELD_OUT, TEST = range(3)


@dataclass(frozen=True)
class Labelled:
    """Features of labelled images, by what they are for.

    Attributes:
        train: [images, D] float64, with `train_labels` [images].
        held_out: The same, to choose the penalty.
        test: The same, to report.
    """

    train: Float[np.ndarray, "train features"]
    train_labels: Int[np.ndarray, " train"]
    held_out: Float[np.ndarray, "held_out features"]
    held_out_labels: Int[np.ndarray, " held_out"]
    test: Float[np.ndarray, "test features"]
    test_labels: Int[np.ndarray, " test"]


class LabelledDump:
    """One network's dump of labelled features: pooled, or of single tokens.

    Attributes:
        network: Whose representations these are.
        layers: Names of the layers, in order of depth.
        depths: Normalised depth of each (`dumps.labelled.probe_depths`).
        classes: Number of classes of the dataset.
        labels: Class of each image [images].
    """

    def __init__(self, path: Path) -> None:
        """Open a dump.

        Raises:
            ResultError: it is missing or damaged, or its description lacks something.
        """
        self.path = Path(path)
        self._reader = TensorReader(path)
        try:
            self.network = Network(*self._reader.meta["network"])
            self.layers: list[str] = list(self._reader.meta["layers"])
            self.depths: list[float] = list(self._reader.meta["depths"])
            self.classes = int(self._reader.meta["classes"])
            self.labels = np.array(self._reader["labels"])
            self._subset = np.array(self._reader["subset"])
        except (KeyError, TypeError) as error:
            raise self._wrong(f"its description lacks {error}") from error
        if len(self.depths) != len(self.layers):
            raise self._wrong(f"it has {len(self.depths)} depths of {len(self.layers)} layers")
        if self.labels.shape != self._subset.shape or not np.isin(self._subset, range(3)).all():
            raise self._wrong("its labels and subsets do not fit each other")
        if not all((self._subset == subset).any() for subset in range(3)):
            raise self._wrong("it lacks images to train, to hold out or to test")
        if not np.isin(self.labels, range(self.classes)).all():
            raise self._wrong(f"it has labels beyond its {self.classes} classes")

    @property
    def meta(self) -> dict[str, Any]:
        """The file's description."""
        return self._reader.meta

    @property
    def train_labels(self) -> np.ndarray:
        """Classes of the training images."""
        return self.labels[self._subset == TRAIN]  # type: ignore[no-any-return]

    @property
    def test_labels(self) -> np.ndarray:
        """Classes of the test images."""
        return self.labels[self._subset == TEST]  # type: ignore[no-any-return]

    def __contains__(self, name: str) -> bool:
        return name in self._reader

    def features(self, name: str) -> np.ndarray:
        """One tensor, such as ``mean.block03.out``, images first, float32, mapped from the file.

        Raises:
            ResultError: it is missing, of another number of images, or not finite.
        """
        if name not in self._reader or self._reader.shape(name)[0] != len(self.labels):
            raise self._wrong(f"it has no tensor {name} of {len(self.labels)} images")
        values = np.asarray(self._reader[name])
        if not np.isfinite(values).all():
            raise self._wrong(f"tensor {name} holds numbers that are not finite")
        return values

    def divide(self, features: np.ndarray) -> Labelled:
        """Features [images, D] by what their images are for."""
        parts = [
            part
            for subset in (TRAIN, HELD_OUT, TEST)
            for chosen in [self._subset == subset]
            for part in (features[chosen].astype(np.float64), self.labels[chosen])
        ]
        return Labelled(*parts)

    def _wrong(self, what: str) -> ResultError:
        return ResultError(f"{self.path}: {what}. Delete it and run snakemake again to rebuild it.")


def check_labelled(dumps: Sequence[Any], networks: Sequence[str]) -> None:
    """Check that dumps are of the networks expected, and of the same labelled images.

    Args:
        dumps: Of one dataset: of features, predictions, or responses.
        networks: Slugs in order.

    Raises:
        ResultError: naming the file that does not belong, or two that do not go together.
    """
    check_networks(dumps, networks)
    for dump in dumps[1:]:
        if dump.meta.get("splits_sha256") != dumps[0].meta.get("splits_sha256"):
            raise ResultError(
                f"{dumps[0].path} and {dump.path} are of different labelled images and cannot be "
                "compared. Delete the older one and run snakemake again."
            )
