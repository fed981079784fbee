"""What every dump needs: the trained network, its layers, and the images it is shown."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sightlines.core.devices import Compute, prepare
from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader
from sightlines.datasets.reading import normalise, open_dataset
from sightlines.datasets.store import open_splits
from sightlines.datasets.views import View
from sightlines.jobs.command import Job
from sightlines.models.building import layers_of, load_network, placed
from sightlines.models.layers import Layer, capture, layer_table
from sightlines.plan.networks import Network


@dataclass(frozen=True)
class Shown:
    """A network in evaluation mode, float32, with the images of its experiment.

    Attributes:
        network: Which one it is.
        model: On `compute`'s device.
        card: What was written beside its weights.
        layers: Where its representations are taken, in the order of depth.
        compute: Device, threads.
        images: The dataset.
        splits: Which images it is shown: the file that the dump's SPLITS names.
    """

    network: Network
    model: torch.nn.Module
    card: dict[str, Any]
    layers: list[Layer]
    compute: Compute
    images: Any
    splits: TensorReader

    @classmethod
    def open(cls, job: Job, splits: str) -> "Shown":
        """Load what a dump command's arguments name.

        Args:
            job: The dump.
            splits: The input that says which images are shown.

        Raises:
            WeightsError: the weights do not fit their card.
            ResultError: images and network are of different sizes, or the splits divide other
                images.
        """
        compute = prepare(job.config["compute"])
        job.notes.update(compute.describe())
        model, card = load_network(job.input("weights"), job.input("card"))
        missing = [key for key in ("mean", "std", "grid") if key not in card]
        if missing:
            raise ResultError(
                f"{job.input('card')} lacks {', '.join(missing)}. Delete its folder and run "
                "snakemake again to train the network anew."
            )
        images = open_dataset(job.input("dataset"), job.source, compute)
        if images.size_px != card["size_px"] and "crop_share" not in card:
            raise ResultError(
                f"{job.input('card')} is of a network for images of {card['size_px']} px, but "
                f"{job.input('dataset')} has {images.size_px} px: run snakemake to retrain it"
            )
        layers = layers_of(card["family"], model)
        network = Network(*job.config["network"])
        indices = open_splits(job.input(splits), job.input("dataset"))
        model = model.float().eval()
        model = placed(model, compute.device) if "timm" in card else model.to(compute.device)
        return cls(network, model, card, layers, compute, images, indices)

    def reference_minibatches(self) -> list[np.ndarray]:
        """Test-image indices of each reference minibatch."""
        order = np.asarray(self.splits["reference"])
        bounds = np.asarray(self.splits["reference_bounds"])
        return [order[a:b] for a, b in itertools.pairwise(bounds)]

    def pixels(self, split: str, minibatches: list[np.ndarray]) -> Iterator[torch.Tensor]:
        """Normalised float32 images [n, 3, height, width], minibatch after minibatch."""
        view = View.of(self.card)
        for images in self.images.batches(split, minibatches, view=view):
            yield normalise(images, self.card["mean"], self.card["std"])

    def layer_shapes(self, layers: list[Layer]) -> list[tuple[int, ...]]:
        """Shape of each layer's representation of one image, found with two grey images."""
        shapes: dict[int, tuple[int, ...]] = {}

        def note(index: int, activations: torch.Tensor) -> None:
            shapes[index] = tuple(activations.shape[1:])

        size = self.card["size_px"]
        grey = torch.zeros(2, 3, size, size, device=self.compute.device)
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
        return {
            "network": list(self.network),
            "reference_sha256": self.splits.meta["reference_sha256"],
            "batch_sizes": [len(batch) for batch in self.reference_minibatches()],
        }
