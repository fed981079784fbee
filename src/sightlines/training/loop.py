"""Train one network: the steps, the checkpoints between them, and where they may be taken up.

Whether a training is interrupted and resumed or not makes no difference to a single bit of its
result: minibatches, augmentation, dropout and learning rate of a step follow from the seeds and
the step's number, everything else is in the checkpoint.
"""

import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sightlines import seeds
from sightlines.datasets.reading import normalise
from sightlines.devices import Compute
from sightlines.errors import TrainingError
from sightlines.models.attention import attention_modules
from sightlines.networks import Network
from sightlines.stage import Progress
from sightlines.training.augment import Augmentation
from sightlines.training.finite import FiniteWatch, are_finite
from sightlines.training.recipe import AveragedWeights, make_optimizer, set_learning_rate
from sightlines.training.schedule import Order, Recipe, learning_rate
from sightlines.training.state import StateFolder

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

    def __init__(self, plan: Plan, model: nn.Module) -> None:
        """Make `model` (on the processor, freshly built) ready for its first step."""
        self.plan = plan
        compute, recipe = plan.compute, plan.recipe
        self.model = model.to(compute.device).train()
        if compute.device.type == "cpu" and compute.dtype == torch.bfloat16:
            _use_plain_attention(self.model)
        self.averaged = AveragedWeights(self.model, recipe)
        self.forward = torch.compile(self.model) if recipe["compile"] else self.model
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

        Where mixup or CutMix is at work, right is the class that has the largest share.

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
        with plan.compute.autocast():
            logits = self.forward(inputs)
        logits = logits.float()
        loss = cross_entropy(logits, targets, label_smoothing=plan.recipe["label_smoothing"])
        main = targets if targets.ndim == 1 else targets.argmax(1)
        return loss, (logits.detach().argmax(1) == main).sum()

    def backward(self, loss: Tensor) -> Tensor:
        """Fill in the gradients, clip them, and return their norm (0 where it is not needed)."""
        self.scaler.scale(loss).backward()
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


def run_training(
    training: Training, folder: StateFolder, evaluate: Evaluate, log: logging.Logger
) -> None:
    """Train to the last step, from the last checkpoint on if there is one.

    Raises:
        TrainingError: a loss or a gradient is not finite.
    """
    plan = training.plan
    checkpoint = folder.load()
    if checkpoint:
        training.restore(*checkpoint)
        log.info(f"taken up at step {training.step} of {plan.total}")
    else:
        training.record(evaluate)
        folder.save(training.tensors(), training.facts())
    order = Order(plan.root, plan.network, plan.images, plan.recipe["batch_size"])
    Loop(training, folder, evaluate, order, log).run()


class Loop:
    """The steps that are left, with evaluations, checks and checkpoints in between."""

    def __init__(
        self,
        training: Training,
        folder: StateFolder,
        evaluate: Evaluate,
        order: Order,
        log: logging.Logger,
    ) -> None:
        """Prepare to go on from the step where `training` is."""
        self._training, self._folder, self._evaluate = training, folder, evaluate
        self._order, self._log = order, log
        self._watch = FiniteWatch(training.plan.compute.device)
        self._saved_at = time.monotonic()
        self._saved_step = training.step

    def run(self) -> None:
        """Take all steps that are left."""
        training, plan = self._training, self._training.plan
        batch_size = plan.recipe["batch_size"]
        progress = Progress(self._log, plan.total * batch_size, "images")
        progress.start_at(training.step * batch_size)
        steps = range(training.step, plan.total)
        indices = (self._order.batch(step) for step in steps)
        batches = plan.image_set.batches("train", indices, training.augmentation.margin_px)
        for step, images in zip(steps, batches, strict=True):
            self._take_step(step, images)
            progress.update(training.step * batch_size, f"step {training.step}")
        self._watch.check(self._fail)

    def _take_step(self, step: int, images: Tensor) -> None:
        training, plan = self._training, self._training.plan
        loss, right = training.loss(images, self._order.batch(step))
        norm = training.backward(loss)
        self._watch.add(step, loss, norm, self._fail)
        training.meter.add(loss, right, len(images))
        training.update()
        done = training.step
        is_due = time.monotonic() - self._saved_at >= plan.checkpoint_every_s
        is_shown = done % plan.recipe["evaluate_every_steps"] == 0 or done == plan.total
        if is_shown or is_due:
            self._watch.check(self._fail)
        if is_shown:
            training.record(self._evaluate)
            self._tell()
        if is_due or done == plan.total:
            self._save()

    def _save(self) -> None:
        training = self._training
        if are_finite(training.parameters):
            self._folder.save(training.tensors(), training.facts())
            self._saved_step = training.step
        self._saved_at = time.monotonic()

    def _tell(self) -> None:
        parts = [
            f"{row['split']} loss {row['loss']:.4f}, accuracy {row['accuracy']:.1%}"
            for row in self._training.history[-2:]
        ]
        self._log.info(f"step {self._training.step}: {'; '.join(parts)}")

    def _fail(self, step: int, what: str, value: float) -> None:
        """Keep the last good state and say what went wrong."""
        training = self._training
        if step == training.step:
            self._save()
        first = ", ".join(map(str, self._order.batch(step)[:8]))
        rate = learning_rate(step, training.plan.recipe, training.plan.total)
        raise TrainingError(
            f"the {what} is {value} at step {step} of {training.plan.total} (learning rate "
            f"{rate:.3g}; minibatch of training images {first}, …). The last good state, after "
            f"{self._saved_step} steps, is kept in {self._folder.path}. Lower "
            "train.learning_rate, or raise train.warmup_steps, or set train.clip_norm or "
            "train.precision: fp32; then run the same command again."
        )


def _below(prefix: str, tensors: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensors[prefix + name].reshape(value.shape) for name, value in like.items()}


def _use_plain_attention(model: nn.Module) -> None:
    """Leave the fused kernel aside: its backward pass in bfloat16 takes twice as long on a CPU."""
    for module in attention_modules(model):
        module.fused_attn = False  # type: ignore[assignment]
