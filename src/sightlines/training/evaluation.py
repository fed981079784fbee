"""How good a network is on some images: loss, accuracy, and what it takes for what."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from sightlines.datasets.reading import normalise
from sightlines.devices import Compute
from sightlines.errors import TrainingError


@dataclass(frozen=True)
class Scores:
    """A network on a set of images.

    Attributes:
        loss: Mean cross-entropy in nats, without label smoothing.
        accuracy: Share of images whose most probable class is the right one.
        confusion: [classes, classes] images by true class (rows) and most probable one (columns).
    """

    loss: float
    accuracy: float
    confusion: np.ndarray


@torch.no_grad()
def evaluate(
    model: nn.Module,
    image_set: Any,
    split: str,
    indices: np.ndarray,
    compute: Compute,
    batch_size: int,
) -> Scores:
    """Score a network on images of one split, in float32 and without augmentation.

    Args:
        model: Left in the mode (training or not) in which it was.
        image_set: An opened dataset.
        split: ``train`` or ``test``.
        indices: Which of the split's images.
        compute: Where the network lies.
        batch_size: Images of one forward pass.

    Raises:
        TrainingError: a loss is not finite.
    """
    classes = len(image_set.classes)
    labels = image_set.labels(split)
    loss = torch.zeros((), dtype=torch.float64, device=compute.device)
    confusion = torch.zeros(classes * classes, dtype=torch.int64, device=compute.device)
    was_training = model.training
    model.eval()
    batches = _cut(indices, batch_size)
    for batch, images in zip(
        _cut(indices, batch_size), image_set.batches(split, batches), strict=True
    ):
        truth = torch.from_numpy(labels[batch]).to(compute.device)
        logits = model(normalise(images, image_set.mean, image_set.std))
        loss += functional.cross_entropy(logits, truth, reduction="sum").double()
        pairs = truth * classes + logits.argmax(1)
        confusion.scatter_add_(0, pairs, torch.ones_like(pairs))
    model.train(was_training)
    counts = confusion.cpu().numpy().reshape(classes, classes)
    mean_loss = float(loss) / len(indices)
    if not np.isfinite(mean_loss):
        raise TrainingError(
            f"the loss on {len(indices)} {split} images is {mean_loss}: the network's output is "
            "not finite. Lower train.learning_rate, or raise train.warmup_steps."
        )
    return Scores(mean_loss, float(counts.trace() / len(indices)), counts)


def _cut(indices: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    return (indices[at : at + batch_size] for at in range(0, len(indices), batch_size))
