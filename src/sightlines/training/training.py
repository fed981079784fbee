"""A network in training: one step's loss, gradient and update, and its state between two steps.

All random draws of a step follow from the seeds and the step's number.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sightlines.core import seeds
from sightlines.core.devices import Compute
from sightlines.datasets.reading import normalise
from sightlines.models.attention import attention_modules
from sightlines.plan.networks import Network
from sightlines.plan.schedule import Recipe, learning_rate
from sightlines.training.augment import Augmentation
from sightlines.training.recipe import AveragedWeights, make_optimizer, set_learning_rate
from sightlines.training.team import Team

HistoryRow = dict[str, Any]
Evaluate = Callable[[nn.Module], tuple[float, float]]
"""Loss and accuracy of a network on the validation images."""


@dataclass(frozen=True)
class Plan:
    """What to train, on what, how.

    Attributes:
        network: Model, fraction and seed; names all random draws.
        root: The experiment's root seed.
        recipe: The config's `train` for this model.
        total: Optimiser steps.
        images: Indices into the dataset's train split.
        image_set: The opened dataset.
        compute: Device and number format.
        checkpoint_every_s: Seconds between two checkpoints.
    """

    network: Network
    root: int
    recipe: Recipe
    total: int
    images: np.ndarray
    image_set: Any
    compute: Compute
    checkpoint_every_s: float


class Training:
    """A network in training: everything that changes from step to step."""

    def __init__(self, plan: Plan, model: nn.Module, team: Team | None = None) -> None:
        """Make `model` (on the processor, freshly built) ready for its first step."""
        self.plan = plan
        self.team = team or Team(plan.compute.device)
        compute, recipe = plan.compute, plan.recipe
        self.model = model.to(compute.device).train()
        if compute.device.type == "cpu" and compute.dtype == torch.bfloat16:
            use_plain_attention(self.model)
        self.averaged = AveragedWeights(self.model, recipe)
        self.forward = _compiled(self.model) if recipe["compile"] else self.model
        self.parameters = list(self.model.parameters())
        is_fp16 = compute.dtype == torch.float16
        self.scaler = torch.amp.GradScaler(compute.device.type, enabled=is_fp16)
        self.step = 0
        self.history: list[HistoryRow] = []
        self.meter = Meter(compute.device)
        labels = torch.from_numpy(np.array(plan.image_set.labels("train")))
        self._labels = labels.to(compute.device)

    @functools.cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Made at its first use: an untrained network never pays for torch's imports."""
        return make_optimizer(self.model, self.plan.recipe)

    @functools.cached_property
    def augmentation(self) -> Augmentation:
        """Made at its first use, like the optimiser."""
        image_set = self.plan.image_set
        return Augmentation(self.plan.recipe, image_set.size_px, len(image_set.classes))

    def loss(self, images: Tensor, batch: np.ndarray) -> tuple[Tensor, Tensor]:
        """Loss of the present step, and the number of images got right.

        Where mixup or CutMix is at work, right is the class that has the largest share. Of several
        processes each has its own images' share of the loss and of the right ones.

        Args:
            images: uint8 [n, 3, rows, columns].
            batch: The images' indices into the train split.
        """
        plan, names = self.plan, (*self.plan.network, "augment", self.step)
        torch.manual_seed(seeds.derive(plan.root, *names, "torch"))
        generator = seeds.generator(plan.root, *names)
        labels = self._labels[torch.from_numpy(batch).to(plan.compute.device)]
        images = self.augmentation.change_pixels(images, generator)
        inputs = normalise(images, plan.image_set.mean, plan.image_set.std)
        inputs, targets = self.augmentation.mix(inputs, labels, generator)
        mine = self.team.part(len(inputs))
        inputs, targets = inputs[mine], targets[mine]
        with plan.compute.autocast():
            logits = self.forward(inputs)
        logits = logits.float()
        loss = cross_entropy(logits, targets, label_smoothing=plan.recipe["label_smoothing"])
        if self.team.size > 1:
            loss = loss * (len(inputs) / len(batch))
        main = targets if targets.ndim == 1 else targets.argmax(1)
        return loss, (logits.detach().argmax(1) == main).sum()

    def backward(self, loss: Tensor) -> Tensor:
        """Fill in the gradients, clip them, and return their norm (0 where it is not needed)."""
        self.scaler.scale(loss).backward()
        self.team.add_gradients(self.parameters)
        clip_norm = self.plan.recipe["clip_norm"]
        if not clip_norm:
            return torch.zeros_like(loss)
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, clip_norm, foreach=True)
        # With fp16, a gradient that overflows is the scaler's business: it leaves out the step.
        return torch.zeros_like(loss) if self.scaler.is_enabled() else norm

    def update(self) -> None:
        """Change the weights by the gradients, and take the step."""
        set_learning_rate(self.optimizer, self.learning_rate())
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.averaged.update(self.step)
        self.step += 1

    def learning_rate(self) -> float:
        """Learning rate of the present step."""
        return learning_rate(self.step, self.plan.recipe, self.plan.total)

    def record(self, evaluate: Evaluate) -> None:
        """Add this step's rows to the history: training since the last rows, and validation."""
        rate = learning_rate(max(self.step - 1, 0), self.plan.recipe, self.plan.total)
        rate = rate if self.plan.total else 0.0
        if self.meter.images:
            self._add_row("train", *self.meter.take(), rate)
        self._add_row("validation", *evaluate(self.averaged.model), rate)

    def _add_row(self, split: str, loss: float, accuracy: float, rate: float) -> None:
        row = {"step": self.step, "split": split, "loss": loss, "accuracy": accuracy}
        self.history.append(row | {"learning_rate": rate})

    def tensors(self) -> dict[str, Tensor]:
        """All tensors of a checkpoint by name."""
        found = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        if self.averaged.is_on:
            found |= {f"ema.{k}": v for k, v in self.averaged.model.state_dict().items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            found |= {f"optimizer.{index}.{k}": v for k, v in values.items() if v is not None}
        return found | {"meter.loss": self.meter.loss, "meter.right": self.meter.right}

    def facts(self) -> dict[str, Any]:
        """Everything else of a checkpoint."""
        return {
            "step": self.step,
            "compute": self.plan.compute.describe(),
            "history": self.history,
            "meter_images": self.meter.images,
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, tensors: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Go back to a checkpoint."""
        loaded = {name: torch.from_numpy(value) for name, value in tensors.items()}
        self.model.load_state_dict(_below("model.", loaded, self.model.state_dict()))
        if self.averaged.is_on:
            averaged = self.averaged.model
            averaged.load_state_dict(_below("ema.", loaded, averaged.state_dict()))
        optimizer = self.optimizer.state_dict()
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in loaded.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                index, key = rest.split(".")
                value = value.reshape(()) if key == "step" else value
                state.setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict(optimizer | {"state": state})
        self.meter.loss = loaded["meter.loss"].reshape(()).to(self.plan.compute.device)
        self.meter.right = loaded["meter.right"].reshape(()).to(self.plan.compute.device)
        self.meter.images = facts["meter_images"]
        self.scaler.load_state_dict(facts["scaler"])
        self.step, self.history = facts["step"], facts["history"]


class Meter:
    """Sums of loss and right answers since the last look, kept on the device."""

    def __init__(self, device: torch.device) -> None:
        """Start at nothing."""
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.right = torch.zeros((), dtype=torch.int64, device=device)
        self.images = 0

    def add(self, loss: Tensor, right: Tensor, images: int) -> None:
        """Count a minibatch with its mean loss."""
        self.loss += loss.detach() * images
        self.right += right
        self.images += images

    def take(self) -> tuple[float, float]:
        """Mean loss and accuracy; starts at nothing again."""
        means = float(self.loss) / self.images, float(self.right) / self.images
        self.__init__(self.loss.device)  # type: ignore[misc]
        return means


def _below(prefix: str, tensors: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensors[prefix + name].reshape(value.shape) for name, value in like.items()}


def _compiled(model: nn.Module) -> Any:
    torch.use_deterministic_algorithms(True)  # tells the compiler, too
    return torch.compile(model)


def use_plain_attention(model: nn.Module) -> None:
    """Leave the fused kernel aside: its backward pass in bfloat16 takes twice as long on a CPU."""
    for module in attention_modules(model):
        module.fused_attn = False  # type: ignore[assignment]
