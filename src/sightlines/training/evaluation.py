"""How good a network is on some images: loss, accuracy, and what it takes for what."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from sightlines.core.devices import Compute
from sightlines.core.errors import TrainingError
from sightlines.datasets.reading import normalise
from sightlines.datasets.views import View


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


@dataclass(frozen=True)
class Sight:
    """How a network that was trained elsewhere sees these images, and what it answers.

    Attributes:
        view: Scaling and crop.
        mean: Of each channel of [0, 1] pixels.
        std: Likewise.
        answers: The output that stands for each class of the images.
    """

    view: View
    mean: Sequence[float]
    std: Sequence[float]
    answers: Sequence[int]


@torch.no_grad()
def evaluate(
    model: nn.Module,
    image_set: Any,
    split: str,
    indices: np.ndarray,
    compute: Compute,
    batch_size: int,
    sight: Sight | None = None,
    on_images: Callable[[int], None] | None = None,
) -> Scores:
    """Score a network on images of one split, in float32 and without augmentation.

    Args:
        model: Left in the mode (training or not) in which it was.
        image_set: An opened dataset.
        split: ``train`` or ``test``.
        indices: Which of the split's images.
        compute: Where the network lies.
        batch_size: Images of one forward pass.
        sight: Of a network that was trained elsewhere. It is right where the most probable of all
            its outputs is the right one; the confusion then has a last column, for all others.
        on_images: Told after each forward pass how many images it was about.

    Raises:
        TrainingError: a loss is not finite.
    """
    classes = len(image_set.classes)
    columns = classes + (sight is not None)
    view, mean, std = sight.view if sight else None, *_normalisation(sight or image_set)
    answers = torch.tensor(sight.answers if sight else range(classes), device=compute.device)
    labels = image_set.labels(split)
    loss = torch.zeros((), dtype=torch.float64, device=compute.device)
    confusion = torch.zeros(classes * columns, dtype=torch.int64, device=compute.device)
    was_training = model.training
    model.eval()
    batches = _cut(indices, batch_size)
    for batch, images in zip(
        _cut(indices, batch_size), image_set.batches(split, batches, view=view), strict=True
    ):
        truth = torch.from_numpy(labels[batch]).to(compute.device)
        logits = model(normalise(images, mean, std))
        loss += functional.cross_entropy(logits, answers[truth], reduction="sum").double()
        places = torch.full((logits.shape[1],), classes, device=compute.device)
        places[answers] = torch.arange(classes, device=compute.device)
        pairs = truth * columns + places[logits.argmax(1)]
        confusion.scatter_add_(0, pairs, torch.ones_like(pairs))
        if on_images:
            on_images(len(batch))
    model.train(was_training)
    counts = confusion.cpu().numpy().reshape(classes, columns)
    mean_loss = float(loss) / len(indices)
    if not np.isfinite(mean_loss):
        raise TrainingError(
            f"the loss on {len(indices)} {split} images is {mean_loss}: the network's output is "
            "not finite. Lower train.learning_rate, or raise train.warmup_steps."
        )
    return Scores(mean_loss, float(counts.trace() / len(indices)), counts)


def _normalisation(source: Any) -> tuple[Sequence[float], Sequence[float]]:
    return source.mean, source.std


def _cut(indices: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    return (indices[at : at + batch_size] for at in range(0, len(indices), batch_size))
