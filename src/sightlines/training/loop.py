"""Train one network: the steps, the checkpoints between them, and where they may be taken up.

Whether a training is interrupted and resumed or not makes no difference to a single bit of its
result: minibatches, augmentation, dropout and learning rate of a step follow from the seeds and
the step's number, everything else is in the checkpoint.
"""

import logging
import time

from torch import Tensor

from sightlines.core.errors import TrainingError
from sightlines.core.progress import Progress
from sightlines.plan.schedule import Order, learning_rate
from sightlines.training.finite import FiniteWatch, are_finite
from sightlines.training.state import StateFolder
from sightlines.training.training import Evaluate, Training


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
        _tell_begun_elsewhere(training, folder, log)
        training.record(evaluate)
        if training.team.leads:
            folder.save(training.tensors(), training.facts())
    order = Order(plan.root, plan.network, plan.images, plan.recipe["batch_size"])
    Loop(training, folder, evaluate, order, log).run()


def _tell_begun_elsewhere(training: Training, folder: StateFolder, log: logging.Logger) -> None:
    here = training.plan.compute.describe()
    for path, facts in folder.begun_elsewhere():
        there = facts.get("compute", {})
        other = [f"{k} {there.get(k)} (here {v})" for k, v in here.items() if there.get(k) != v]
        log.warning(
            f"starting anew: {path} holds step {facts.get('step')} of this training, begun with "
            f"{' and '.join(other)}. It is kept for a machine like that one. Where machines "
            "differ, set train.precision to fp32 or bf16, and compute.device."
        )


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
        progress = Progress(plan.total * batch_size, "images")
        progress.start_at(training.step * batch_size)
        steps = range(training.step, plan.total)
        indices = (training.team.mine(self._order.batch(step)) for step in steps)
        batches = plan.image_set.batches("train", indices, training.augmentation.margin_px)
        for step, images in zip(steps, batches, strict=True):
            self._take_step(step, images)
            progress.update(training.step * batch_size, f"step {training.step}")
        self._watch.check(self._fail)

    def _take_step(self, step: int, images: Tensor) -> None:
        training, plan = self._training, self._training.plan
        batch = self._order.batch(step)
        images = training.team.gather(images, len(batch))
        loss, right = training.loss(images, batch)
        norm = training.backward(loss)
        loss, right = training.team.add(loss), training.team.add(right)
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
        if training.team.leads and are_finite(training.parameters):
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
