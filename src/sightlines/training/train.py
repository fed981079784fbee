"""Command: trains one network on one fraction of the images with one seed.

Writes its weights, history and card; how good it is, its predictions tell (`dumps/predictions.py`).
Fraction f000 is the untrained network: the same files without a step. Interrupted jobs go on from
their last checkpoint. With the inputs `start` and `start_card` a trained network is trained further
on other images (paper, appendix G): all weights are free, the last layer is a new one that starts
at 0.
"""

import contextlib
from importlib import metadata
from typing import Any

import numpy as np
from torch import nn

from sightlines.core import devices, files, seeds
from sightlines.core.errors import ResultError
from sightlines.datasets.reading import ImageSet, open_dataset
from sightlines.datasets.store import fraction_images, open_splits
from sightlines.jobs.command import Job, run
from sightlines.models import building
from sightlines.plan import registry, schedule
from sightlines.plan.code_digest import code_digest
from sightlines.plan.networks import Network
from sightlines.training import state
from sightlines.training.evaluation import evaluate
from sightlines.training.history import write_history
from sightlines.training.loop import run_training
from sightlines.training.team import Team, start_if_asked
from sightlines.training.training import Plan, Training

TABLES = {
    "history.csv": {
        "about": "Training curves of one network, beside its weights",
        "row": "step × split",
        "columns": ("curve",),
    },
}
IRRELEVANT = ("checkpoint_every_s", "workers")
"""Keys of `compute` that cannot change a result."""


def main(job: Job) -> None:
    """Train the network that `job.config` names and write its three files."""
    config = job.config
    network = Network(*config["network"])
    recipe = config["model"]["train"]
    total = schedule.total_steps(recipe, network.fraction)
    if total:
        start_if_asked(recipe["processes"])
    # Evaluation is in float32: an untrained network is the same whatever auto takes.
    compute = devices.prepare(config["compute"], recipe["precision"] if total else "fp32")
    job.notes |= compute.describe()
    if total:
        _tell_precision(job, compute)
    splits = open_splits(job.input("splits"), job.input("dataset"))
    image_set = open_dataset(job.input("dataset"), job.source, compute)
    schedule.check(recipe, image_set.size_px)
    start = _start(job, image_set)
    plan = Plan(
        network=network,
        root=seeds.derive(config["seed"], "finetune", config["task"]) if start else config["seed"],
        recipe=recipe,
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
        training = Training(plan, start or _build(config, network, image_set), team)
        _train(job, training, folder, splits)
        if training.team.leads:
            _write(job, training)
            folder.remove()
        training.team.leave()


def _tell_precision(job: Job, compute: devices.Compute) -> None:
    job.notes["precision_why"] = compute.why
    if compute.evidence:
        job.notes["precision_evidence"] = compute.evidence
    known = f"{compute.why}, {compute.evidence}" if compute.evidence else compute.why
    job.log.info(f"trains in {compute.describe()['precision']} ({known})")


def _fingerprint(job: Job, compute: devices.Compute) -> str:
    settings = {k: v for k, v in job.config["compute"].items() if k not in IRRELEVANT}
    return state.fingerprint(
        job.config | {"compute": settings},
        code_digest(
            "sightlines.training.train:main", f"sightlines.models.{job.config['model']['family']}"
        ),
        {
            n: files.sha256(job.input(n))
            for n, paths in job.inputs.items()
            if paths and n != "files"
        },
        {package: metadata.version(package) for package in ("torch", "torchvision", "timm")},
        place=compute.describe(),
    )


def _start(job: Job, image_set: ImageSet) -> nn.Module | None:
    """The network to train further, with a last layer for the classes of `image_set`.

    The images are normalised as those that it was trained on.

    Raises:
        ResultError: the network is for images of another size, or its card does not say how
            images were normalised.
    """
    if not job.inputs.get("start"):
        return None
    model, card = building.load_network(job.input("start"), job.input("start_card"))
    missing = [key for key in ("mean", "std") if key not in card]
    if missing:
        raise ResultError(
            f"{job.input('start_card')} lacks {', '.join(missing)}. Delete its folder and run "
            "snakemake again to train the network anew."
        )
    if card["size_px"] != image_set.size_px:
        raise ResultError(
            f"{job.input('start_card')} is of a network for images of {card['size_px']} px, but "
            f"{job.input('dataset')} has {image_set.size_px} px"
        )
    image_set.facts |= {"mean": card["mean"], "std": card["std"]}
    return building.with_new_head(model, len(image_set.classes))


def _build(config: dict[str, Any], network: Network, image_set: Any) -> nn.Module:
    is_shared = config["model"]["train"]["shared_init"]
    seed = schedule.init_seed(config["seed"], network, is_shared)
    return building.build(config["model"], image_set.size_px, len(image_set.classes), seed)


def _train(
    job: Job, training: Training, folder: state.StateFolder, splits: files.TensorReader
) -> None:
    plan, batch_size = training.plan, job.config["compute"]["batch_size"]
    validation = np.array(splits["validation"])

    def score(model: nn.Module) -> tuple[float, float]:
        return evaluate(model, plan.image_set, validation, plan.compute, batch_size)

    if plan.total:
        run_training(training, folder, score, job.log)
    else:
        training.record(score)


def _write(job: Job, training: Training) -> None:
    plan, model = training.plan, training.averaged.model
    weights = {k: v.cpu().numpy() for k, v in model.state_dict().items()}
    files.write_tensors(job.output("weights"), weights, {"network": plan.network.slug})
    write_history(job.output("history"), training.history)
    files.write_json(job.output("card"), _describe(job, training))


def _describe(job: Job, training: Training) -> dict[str, Any]:
    plan, config, image_set = training.plan, job.config["model"], training.plan.image_set
    architecture = building.architecture(config)
    family = registry.load("models", config["family"])
    more = family.on_card(architecture, image_set.size_px) if hasattr(family, "on_card") else {}
    return more | {
        "network": plan.network.slug,
        "family": config["family"],
        "architecture": architecture,
        "parameters": _count_parameters(training.model),
        "grid": list(family.check(architecture, image_set.size_px)),
        "recipe": plan.recipe,
        "steps": plan.total,
        "fraction": plan.network.fraction,
        "seed": plan.network.seed,
        "root_seed": plan.root,
        "dataset_sha256": files.sha256(job.input("dataset")),
        "splits_sha256": files.sha256(job.input("splits")),
        "classes": list(image_set.classes),
        "size_px": image_set.size_px,
        "mean": list(image_set.mean),
        "std": list(image_set.std),
    }


def _count_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


if __name__ == "__main__":
    run(main)
