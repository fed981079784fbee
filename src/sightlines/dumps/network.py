"""What every recorder is shown: images in minibatches, and a trained network with its layers."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightlines.core.devices import Compute
from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader
from sightlines.core.progress import Progress
from sightlines.datasets.decoded import open_decoded
from sightlines.datasets.reading import normalise
from sightlines.datasets.store import open_splits
from sightlines.datasets.views import View
from sightlines.models.building import layers_of, load_network, placed
from sightlines.models.layers import Layer, capture, layer_table
from sightlines.plan.networks import Network


@dataclass(frozen=True)
class Minibatch:
    """Images that a network is shown at once.

    Attributes:
        name: Of the minibatch, or of the subset that it is of.
        split: The dataset's split that `images` indexes.
        images: Which ones.
        kept: So many of the first are recorded; the others are there because outputs round
            by what a network is shown at once.
    """

    name: str
    split: str
    images: np.ndarray
    kept: int


Kept = Callable[[torch.Tensor], Mapping[str, np.ndarray]]
"""What is kept of a minibatch of normalised pixels [n, 3, height, width]: arrays by name."""


@dataclass(frozen=True, kw_only=True)
class ShownImages:
    """Images of a dataset, and which of them are shown.

    Attributes:
        images: The dataset.
        splits: Which images are shown: the file that the recorder's SPLITS names.
        batch_size: Images of a minibatch, where they are not reference images.
    """

    images: Any
    splits: TensorReader
    batch_size: int

    @classmethod
    def open(
        cls, dataset: Path, splits: Path, source: Path, compute: Compute, batch_size: int
    ) -> "ShownImages":
        """Open a dataset and the file that says which of its images are shown.

        Args:
            dataset: Its `dataset.json`.
            splits: Indices of images.
            source: Where photographs lie.
            compute: Where they are put.
            batch_size: See the attributes.

        Raises:
            ResultError: the splits divide other images, or a file is damaged.
        """
        images = open_decoded(dataset, source, compute)
        return cls(images=images, splits=open_splits(splits, dataset), batch_size=batch_size)

    def reference_minibatches(self) -> list[np.ndarray]:
        """Test-image indices of each reference minibatch."""
        order = np.asarray(self.splits["reference"])
        bounds = np.asarray(self.splits["reference_bounds"])
        return [order[a:b] for a, b in itertools.pairwise(bounds)]

    def reference(self) -> list[Minibatch]:
        """The reference minibatches, named by three digits."""
        return [
            Minibatch(f"{index:03d}", "test", images, len(images))
            for index, images in enumerate(self.reference_minibatches())
        ]

    def pixels(self, split: str, minibatches: list[np.ndarray]) -> Iterator[torch.Tensor]:
        """Normalised float32 images [n, 3, height, width], minibatch after minibatch."""
        for images in self.images.batches(split, minibatches):
            yield normalise(images, self.images.mean, self.images.std)

    def each_minibatch(self, keep: Kept) -> Iterator[tuple[str, np.ndarray]]:
        """What is kept of every reference minibatch, in turn, as `<name>.<minibatch>`."""
        minibatches = self.reference_minibatches()
        progress = Progress(len(minibatches), "minibatches")
        for index, images in enumerate(self.pixels("test", minibatches)):
            for name, values in keep(images).items():
                yield f"{name}.{index:03d}", values
            progress.update(index + 1)

    def describe(self) -> dict[str, Any]:
        """What every dump of reference images says of them."""
        return {
            "reference_sha256": self.splits.meta["reference_sha256"],
            "batch_sizes": [len(batch) for batch in self.reference_minibatches()],
        }


@dataclass(frozen=True, kw_only=True)
class Shown(ShownImages):
    """A network in evaluation mode, float32, with the images that it is shown.

    Attributes:
        network: Which one it is.
        model: On `device`.
        card: What was written beside its weights.
        layers: Where its representations are taken, in the order of depth.
        device: Where it computes.
    """

    network: Network
    model: torch.nn.Module
    card: dict[str, Any]
    layers: list[Layer]
    device: torch.device

    @classmethod
    def of(
        cls, shown: ShownImages, network: Network, weights: Path, card: Path, compute: Compute
    ) -> "Shown":
        """Load the network that is shown some images.

        Args:
            shown: The images.
            network: Which one it is.
            weights: Its weights.
            card: What was written beside them.
            compute: Where it computes.

        Raises:
            WeightsError: the weights do not fit their card.
            ResultError: images and network are of different sizes, or the card lacks something.
        """
        model, facts = load_network(weights, card)
        missing = [key for key in ("mean", "std", "grid") if key not in facts]
        if missing:
            raise ResultError(
                f"{card} lacks {', '.join(missing)}. Delete its folder and run "
                "snakemake again to train the network anew."
            )
        if shown.images.size_px != facts["size_px"] and "crop_share" not in facts:
            raise ResultError(
                f"{card} is of a network for images of {facts['size_px']} px, but "
                f"{shown.images.path} has {shown.images.size_px} px: run snakemake to retrain it"
            )
        layers = layers_of(facts["family"], model)
        model, device = model.float().eval(), compute.device
        return cls(
            images=shown.images,
            splits=shown.splits,
            batch_size=shown.batch_size,
            network=network,
            model=placed(model, device) if "timm" in facts else model.to(device),
            card=facts,
            layers=layers,
            device=device,
        )

    def pixels(self, split: str, minibatches: list[np.ndarray]) -> Iterator[torch.Tensor]:
        """Normalised float32 images [n, 3, height, width], as the network was trained on them."""
        view = View.of(self.card)
        for images in self.images.batches(split, minibatches, view=view):
            yield normalise(images, self.card["mean"], self.card["std"])

    def layer_shapes(self, layers: list[Layer]) -> list[tuple[int, ...]]:
        """Shape of each layer's representation of one image, found with two grey images."""
        shapes: dict[int, tuple[int, ...]] = {}

        def note(index: int, activations: torch.Tensor) -> None:
            shapes[index] = tuple(activations.shape[1:])

        size = self.card["size_px"]
        grey = torch.zeros(2, 3, size, size, device=self.device)
        with torch.inference_mode(), capture(self.model, layers, note):
            self.model(grey)
        return [shapes[index] for index in range(len(layers))]

    def describe_layers(self) -> list[dict[str, Any]]:
        """The layer table with each layer's number of features."""
        shapes = self.layer_shapes(self.layers)
        return [
            row | {"features": int(np.prod(shape))}
            for row, shape in zip(layer_table(self.layers), shapes, strict=True)
        ]

    def describe(self) -> dict[str, Any]:
        """What every dump of reference images says about its origin."""
        return {"network": list(self.network), **super().describe()}
