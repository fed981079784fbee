"""What changes from step to step in self-distillation, beside the learning rate; no torch."""

import math
from typing import Any

Settings = dict[str, Any]
"""The recipe's block `dino`, complete."""


def cosine(step: int, total: int, start: float, end: float) -> float:
    """From `start` in step 0 to `end`, which one step after the last would reach."""
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * step / total))


def teacher_momentum(step: int, total: int, settings: Settings) -> float:
    """Share of the teacher that stays in step `step`."""
    return cosine(step, total, settings["teacher_momentum"], 1.0)


def weight_decay(step: int, total: int, start: float, settings: Settings) -> float:
    """Weight decay of step `step`, from the recipe's own, `start`."""
    return cosine(step, total, start, settings["weight_decay_end"])


def teacher_temperature(step: int, total: int, settings: Settings) -> float:
    """Temperature of the teacher in step `step`: a line, then level."""
    first, last = settings["teacher_temperature_start"], settings["teacher_temperature"]
    rising = settings["teacher_warmup"] * total
    return float(last if step >= rising else first + (last - first) * step / rising)


def frozen_steps(images: int, batch_size: int, settings: Settings) -> int:
    """Steps in which the last layer does not learn.

    Args:
        images: Training images, which make an epoch.
        batch_size: Images of a step.
        settings: The block `dino`.
    """
    return math.ceil(settings["freeze_last_layer"] * images / batch_size)
