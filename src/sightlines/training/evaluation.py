"""How good a network in training is on its validation images."""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from sightlines.core.devices import Compute
from sightlines.core.errors import TrainingError
from sightlines.datasets.reading import normalise


@torch.no_grad()
def evaluate(
    model: nn.Module, image_set: Any, indices: np.ndarray, compute: Compute, batch_size: int
) -> tuple[float, float]:
    """Loss and accuracy on images of the train split, in float32 and without augmentation.

    Args:
        model: Left in the mode (training or not) in which it was.
        image_set: An opened dataset.
        indices: Which of the split's images.
        compute: Where the network lies.
        batch_size: Images of one forward pass.

    Returns:
        Mean cross-entropy in nats, without label smoothing; and the share of images whose most
        probable class is the right one.

    Raises:
        TrainingError: a loss is not finite.
    """
    labels = image_set.labels("train")
    loss = torch.zeros((), dtype=torch.float64, device=compute.device)
    right = torch.zeros((), dtype=torch.int64, device=compute.device)
    was_training = model.training
    model.eval()
    batches = [indices[at : at + batch_size] for at in range(0, len(indices), batch_size)]
    for batch, images in zip(batches, image_set.batches("train", batches), strict=True):
        truth = torch.from_numpy(labels[batch]).to(compute.device)
        logits = model(normalise(images, image_set.mean, image_set.std))
        loss += functional.cross_entropy(logits, truth, reduction="sum").double()
        right += (logits.argmax(1) == truth).sum()
    model.train(was_training)
    mean_loss = float(loss) / len(indices)
    if not np.isfinite(mean_loss):
        raise TrainingError(
            f"the loss on {len(indices)} validation images is {mean_loss}: the network's output is "
            "not finite. Lower train.learning_rate, or raise train.warmup_steps."
        )
    return mean_loss, int(right) / len(indices)
