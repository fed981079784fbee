"""A network in training by self-distillation: its student, its teacher, and the centre."""

import contextlib
import copy
import functools
import logging
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sightlines.core import seeds
from sightlines.training.dino import schedules
from sightlines.training.dino.head import Head, Learner, width_of
from sightlines.training.dino.loss import answers_of, distillation_loss, information
from sightlines.training.dino.sizes import default_px
from sightlines.training.dino.views import GLOBAL, Views, some
from sightlines.training.recipe import make_optimizer
from sightlines.training.team import Team
from sightlines.training.training import Plan
from sightlines.training.unsupervised import Unsupervised, finite

COLLAPSED = 0.01
"""Nats that a teacher's answers tell of which image it sees, below which it tells none apart."""


class Distillation(Unsupervised):
    """Everything that changes from step to step.

    Attributes:
        teacher: A moving average of the student, in evaluation mode.
        centre: A moving mean of the teacher's outputs [outputs].
        apart: Nats that the teacher's answers told of which image it saw, when last scored.
    """

    def __init__(
        self, plan: Plan, backbone: nn.Module, described: dict[str, Any], team: Team | None = None
    ) -> None:
        """Make a student of a fresh backbone, on the processor, and a teacher that is its copy.

        Args:
            plan: What to train.
            backbone: Without a last layer.
            described: The model's settings, as claims know them.
            team: The processes that train together.
        """
        self._settings: dict[str, Any] = plan.recipe["dino"]
        size_px = plan.image_set.size_px
        self._local_px: int = self._settings["local_px"] or default_px(described, size_px)
        student = Learner(backbone, _head(plan, backbone), size_px, self._used_px(size_px))
        super().__init__(plan, student, team)
        self.teacher: Any = copy.deepcopy(self.model).requires_grad_(False).eval()
        outputs = self._settings["out_dim"]
        self.centre = torch.zeros(outputs, device=plan.compute.device)
        self.apart = math.nan
        self._mean = self.centre
        self._averaged: list[Tensor] = list(self.teacher.parameters())
        self._followed: list[Tensor] = list(self.model.parameters())
        self._frozen = schedules.frozen_steps(
            len(plan.images), plan.recipe["batch_size"], self._settings
        )

    def _used_px(self, size_px: int) -> int:
        return self._local_px if self._settings["local_crops"] else size_px

    @property
    def backbone(self) -> nn.Module:
        """The teacher's."""
        found: nn.Module = self.teacher.backbone
        return found

    @functools.cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """The recipe's, made at its first use.

        SGD's momentum starts at 0, which is the same, but for tensors that have no gradient in the
        first step: torch's fused step does not take them up later.
        """
        last: nn.Parameter = self.model.head.directions  # type: ignore[assignment, union-attr]
        made = make_optimizer(self.model, self.plan.recipe, last)
        if isinstance(made, torch.optim.SGD) and self.plan.recipe["momentum"]:
            for parameter in self.parameters:
                made.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return made

    @functools.cached_property
    def augmentation(self) -> Views:  # type: ignore[override]
        """Made at its first use."""
        size_px = self.plan.image_set.size_px
        return Views(self._settings, size_px, self._local_px, self.plan.recipe["flip"])

    @property
    def temperature(self) -> float:
        """The teacher's, in the present step."""
        return schedules.teacher_temperature(self.step, max(self.plan.total, 1), self._settings)

    def loss(self, images: Tensor, batch: np.ndarray) -> tuple[Tensor, Tensor]:
        """Loss of the present step; and 0, since there are no answers to be right.

        Of several processes each has its own images' share of the loss.

        Args:
            images: uint8 [n, 3, rows, columns].
            batch: The images' indices into the train split.
        """
        plan, names = self.plan, (*self.plan.network, "views", self.step)
        torch.manual_seed(seeds.derive(plan.root, *names, "torch"))
        drawn = self.augmentation.draw(len(images), seeds.generator(plan.root, *names))
        mine = self.team.part(len(images))
        self.model.head.directions.requires_grad_(self.step >= self._frozen)  # type: ignore[union-attr]
        student, teacher = self._outputs(images[mine], some(drawn, mine))
        self._mean = self.team.add(teacher.sum((0, 1))) / (GLOBAL * len(batch))
        loss = self._compare(student, teacher)
        if self.team.size > 1:
            loss = loss * (teacher.shape[1] / len(batch))
        return loss, torch.zeros((), dtype=torch.int64, device=plan.compute.device)

    def _outputs(
        self, images: Tensor, drawn: list[dict[str, np.ndarray]], is_exact: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Outputs of the student [views, n, outputs] and of the teacher [2, n, outputs]."""
        image_set = self.plan.image_set
        large, small = (
            _normalised(views, image_set.mean, image_set.std)
            for views in self.augmentation.make(images, drawn)
        )
        n, precision = len(images), self.plan.compute
        with contextlib.nullcontext() if is_exact else precision.autocast():
            with torch.no_grad():
                teacher = self.teacher(large)
            student = [self.model(large), *([self.model(small)] if len(small) else [])]
        seen = torch.cat([outputs.float() for outputs in student])
        return seen.unflatten(0, (-1, n)), teacher.float().unflatten(0, (GLOBAL, n))

    def _compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        return distillation_loss(
            student,
            teacher,
            self.centre,
            self._settings["student_temperature"],
            self.temperature,
        )

    def update(self) -> None:
        """Change the student by its gradients, then teacher and centre, and take the step."""
        step, total, recipe = self.step, self.plan.total, self.plan.recipe
        decay = schedules.weight_decay(step, total, recipe["weight_decay"], self._settings)
        for group in self.optimizer.param_groups:
            if group["decayed"]:
                group["weight_decay"] = decay
        super().update()
        self._follow(schedules.teacher_momentum(step, total, self._settings))
        stays = self._settings["centre_momentum"]
        self.centre = stays * self.centre + (1 - stays) * self._mean

    @torch.no_grad()
    def _follow(self, momentum: float) -> None:
        """Move the teacher towards the student; statistics of BatchNorm are the student's."""
        torch._foreach_lerp_(self._averaged, self._followed, 1 - momentum)
        for own, students in zip(self.teacher.buffers(), self.model.buffers(), strict=True):
            own.copy_(students)

    @torch.no_grad()
    def score(self, images: np.ndarray, batch_size: int) -> float:
        """Loss on validation images, in float32, with the same views at every call."""
        plan, network = self.plan, self.plan.network
        batches = [images[at : at + batch_size] for at in range(0, len(images), batch_size)]
        loss = torch.zeros((), dtype=torch.float64, device=plan.compute.device)
        answers = []
        self.model.eval()
        pixels = plan.image_set.batches("train", batches, self.augmentation.margin_px)
        for place, (batch, shown) in enumerate(zip(batches, pixels, strict=True)):
            generator = seeds.generator(plan.root, *network, "validation views", place)
            drawn = self.augmentation.draw(len(batch), generator)
            student, teacher = self._outputs(shown, drawn, is_exact=True)
            loss += self._compare(student, teacher).double() * len(batch)
            answers.append(answers_of(teacher[0], self.centre, self.temperature))
        self.model.train()
        self.apart = float(information(torch.cat(answers)))
        return finite(float(loss) / len(images), len(images))

    def tell(self, log: logging.Logger) -> None:
        """How far the teacher tells images apart."""
        most = math.log(self._settings["out_dim"])
        log.info(f"the teacher's answers tell {self.apart:.3g} of {most:.3g} nats of the image")
        if self.apart < COLLAPSED:
            log.warning(
                "training has collapsed, or not begun: the teacher answers alike for all images. "
                "Lower dino.teacher_temperature or train.learning_rate, or raise "
                "train.warmup_steps or the share of dino.teacher_warmup"
            )

    def tensors(self) -> dict[str, Tensor]:
        """All tensors of a checkpoint by name."""
        own = {f"teacher.{name}": value for name, value in self.teacher.state_dict().items()}
        return super().tensors() | own | {"centre": self.centre}

    def restore(self, tensors: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Go back to a checkpoint."""
        super().restore(tensors, facts)
        own = {
            name: torch.from_numpy(tensors[f"teacher.{name}"]).reshape(value.shape)
            for name, value in self.teacher.state_dict().items()
        }
        self.teacher.load_state_dict(own)
        self.centre = torch.from_numpy(tensors["centre"]).to(self.plan.compute.device)


def _normalised(images: Tensor, mean: list[float], std: list[float]) -> Tensor:
    """Shares of the largest level [n, 3, rows, columns] to what networks see."""
    centre, scale = (images.new_tensor(values).view(1, 3, 1, 1) for values in (mean, std))
    return (images - centre) / scale


def _head(plan: Plan, backbone: Any) -> Head:
    """A head with the initial weights of its network, or of its model where these are shared."""
    settings, network = plan.recipe["dino"], plan.network
    named = (network.model,) if plan.recipe["shared_init"] else network
    sizes = (settings["hidden_dim"], settings["bottleneck_dim"], settings["out_dim"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(plan.root, "head", *named))
        return Head(width_of(backbone), *sizes)
