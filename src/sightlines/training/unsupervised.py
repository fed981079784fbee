"""Train one network without labels: what all objectives of `training/objectives` have in common.

Steps, checkpoints, checks and several processes are those of supervised training (`loop.py`), so
that a training that was killed and taken up ends in the same bytes. The network that is kept has no
last layer: its card says that no output of it stands for a class.
"""

import abc
import contextlib
import logging
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
from torch import nn

from sightlines.core import devices, files
from sightlines.core.errors import TrainingError
from sightlines.datasets.reading import open_dataset
from sightlines.datasets.store import fraction_images, open_splits
from sightlines.jobs.command import Job
from sightlines.models import building
from sightlines.plan import objectives, registry, schedule
from sightlines.plan.architectures import described
from sightlines.plan.code_digest import code_digest
from sightlines.plan.networks import Network
from sightlines.plan.schedule import Order
from sightlines.training import state
from sightlines.training.history import write_history
from sightlines.training.loop import Loop
from sightlines.training.team import Team, start_if_asked
from sightlines.training.training import Evaluate, Plan, Training

IRRELEVANT = ("checkpoint_every_s", "workers")
"""Keys of `compute` that cannot change a result."""
NOT_FOLLOWED = {"ema_decay": 0.0, "compile": False}
"""What the frame asks of a recipe, and no objective follows."""
NO_OUTPUTS = "trained without labels, so that no output stands for a class"


class Unsupervised(Training, abc.ABC):
    """A network in training that is shown no labels."""

    @property
    @abc.abstractmethod
    def backbone(self) -> nn.Module:
        """The network that is kept: images to one vector each."""

    @abc.abstractmethod
    def score(self, images: np.ndarray, batch_size: int) -> float:
        """Loss on images of the train split that are not trained on, with the same draws each time.

        Args:
            images: Their indices.
            batch_size: Images of one forward pass.
        """

    @abc.abstractmethod
    def tell(self, log: logging.Logger) -> None:
        """Say how it goes, beside the losses, after a score."""

    def _add_row(self, split: str, loss: float, accuracy: float, rate: float) -> None:
        """A row of the history, whose accuracy is left empty: there are no answers."""
        del accuracy
        row = {"step": self.step, "split": split, "loss": loss, "accuracy": ""}
        self.history.append(row | {"learning_rate": rate})


Make = Callable[[Plan, nn.Module, dict[str, Any], Team], Unsupervised]
"""Of a plan, a fresh network without last layer, its settings as claims know them, and the team."""


def train(job: Job, make: Make) -> None:
    """Train the network that `job.config` names and write its three files.

    Args:
        job: The command's arguments.
        make: Prepares an objective's training.
    """
    config = job.config
    network = Network(*config["network"])
    recipe = config["model"]["train"]
    total = schedule.total_steps(recipe, network.fraction)
    if total:
        start_if_asked(recipe["processes"])
    compute = devices.prepare(config["compute"], recipe["precision"] if total else "fp32")
    job.notes |= compute.describe()
    if total:
        _tell_precision(job, compute)
    splits = open_splits(job.input("splits"), job.input("dataset"))
    image_set = open_dataset(job.input("dataset"), job.source, compute)
    plan = Plan(
        network=network,
        root=config["seed"],
        recipe=NOT_FOLLOWED | recipe,
        total=total,
        images=fraction_images(splits, network.fraction),
        image_set=image_set,
        compute=compute,
        checkpoint_every_s=float(config["compute"]["checkpoint_every_s"]),
    )
    team = Team(compute.device)
    team.require_same(compute.dtype)
    folder = state.StateFolder(state.ROOT / team.leaders(_fingerprint(job, compute)), job.log)
    with folder.owned() if team.leads else contextlib.nullcontext():
        seed = schedule.init_seed(config["seed"], network, recipe["shared_init"])
        backbone = building.build(config["model"], image_set.size_px, 0, seed)
        known = described(config["model"], image_set.size_px)
        training = make(plan, backbone, known, team)
        validation, batch_size = np.array(splits["validation"]), config["compute"]["batch_size"]

        def score(model: nn.Module) -> tuple[float, float]:
            del model
            return training.score(validation, batch_size), 0.0

        if total:
            run_training(training, folder, score, job.log)
        else:
            training.record(score)
        if team.leads:
            _write(job, training)
            folder.remove()
        team.leave()


def run_training(
    training: Unsupervised, folder: state.StateFolder, evaluate: Evaluate, log: logging.Logger
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
        for path, _ in folder.begun_elsewhere():
            log.warning(
                f"starting anew: {path} holds this training on another device or in another number "
                "format, and is kept for a machine like that one"
            )
        training.record(evaluate)
        if training.team.leads:
            folder.save(training.tensors(), training.facts())
    order = Order(plan.root, plan.network, plan.images, plan.recipe["batch_size"])
    _Loop(training, folder, evaluate, order, log).run()


class _Loop(Loop):
    """Says how a training goes that has no accuracy."""

    def _tell(self) -> None:
        training = self._training
        assert isinstance(training, Unsupervised)
        losses = [f"{row['split']} loss {row['loss']:.4f}" for row in training.history[-2:]]
        self._log.info(f"step {training.step}: {'; '.join(losses)}")
        training.tell(self._log)


def finite(loss: float, images: int) -> float:
    """A loss on validation images.

    Raises:
        TrainingError: it is not finite.
    """
    if not np.isfinite(loss):
        raise TrainingError(
            f"the loss on {images} validation images is {loss}: the network's output is not "
            "finite. Lower train.learning_rate, or raise train.warmup_steps."
        )
    return loss


def _tell_precision(job: Job, compute: devices.Compute) -> None:
    job.notes["precision_why"] = compute.why
    if compute.evidence:
        job.notes["precision_evidence"] = compute.evidence
    known = f"{compute.why}, {compute.evidence}" if compute.evidence else compute.why
    job.log.info(f"trains in {compute.describe()['precision']} ({known})")


def _fingerprint(job: Job, compute: devices.Compute) -> str:
    model = job.config["model"]
    settings = {k: v for k, v in job.config["compute"].items() if k not in IRRELEVANT}
    command = f"{registry.PACKAGE.name}.{objectives.module(model['train']['objective'])}"
    read = {n: files.sha256(job.input(n)) for n in ("dataset", "splits")}
    return state.fingerprint(
        job.config | {"compute": settings},
        code_digest(f"{command}:main", f"{registry.PACKAGE.name}.models.{model['family']}"),
        read,
        {package: metadata.version(package) for package in ("torch", "torchvision", "timm")},
        place=compute.describe(),
    )


def _write(job: Job, training: Unsupervised) -> None:
    model = training.backbone
    weights = {k: v.cpu().numpy() for k, v in model.state_dict().items()}
    files.write_tensors(job.output("weights"), weights, {"network": training.plan.network.slug})
    write_history(job.output("history"), training.history)
    files.write_json(job.output("card"), _describe(job, training))


def _describe(job: Job, training: Unsupervised) -> dict[str, Any]:
    plan, config, image_set = training.plan, job.config["model"], training.plan.image_set
    architecture = building.architecture(config)
    family = registry.load("models", config["family"])
    more = family.on_card(architecture, image_set.size_px) if hasattr(family, "on_card") else {}
    return more | {
        "network": plan.network.slug,
        "family": config["family"],
        "architecture": architecture,
        "parameters": sum(p.numel() for p in training.backbone.parameters()),
        "grid": list(family.check(architecture, image_set.size_px)),
        "recipe": config["train"],
        "steps": plan.total,
        "fraction": plan.network.fraction,
        "seed": plan.network.seed,
        "root_seed": plan.root,
        "dataset_sha256": files.sha256(job.input("dataset")),
        "splits_sha256": files.sha256(job.input("splits")),
        "classes": [],
        "answers": [],
        "class_order": "none",
        "class_order_note": NO_OUTPUTS,
        "weights_note": "",
        "size_px": image_set.size_px,
        "mean": list(image_set.mean),
        "std": list(image_set.std),
    }
