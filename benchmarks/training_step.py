"""A whole training step against the bare one.

    python benchmarks/training_step.py

For every model of cifar10_small: throughput of its training step with the recipe's augmentation,
CutMix, clipping and averaged weights, on images kept as uint8, over that of forward, backward and
optimiser step of the same network on resident random floats. Both alternate within one process;
medians of CPU time. Goal: at least 0.90.
"""

import torch
from measuring import CLASSES, SIZE_PX, Stepper, measure
from torch.nn.functional import cross_entropy

from sightlines.core import devices
from sightlines.models import building
from sightlines.plan.config import FOLDER, load
from sightlines.training.recipe import make_optimizer
from sightlines.training.training import use_plain_attention

ROUNDS = 24


def ratio(model: dict, recipe: dict, compute: devices.Compute) -> float:
    bare = building.build(model, SIZE_PX, CLASSES, 1).to(compute.device).train()
    if compute.dtype == torch.bfloat16 and compute.device.type == "cpu":
        use_plain_attention(bare)
    optimizer = make_optimizer(bare, recipe)
    inputs = torch.randn(recipe["batch_size"], 3, SIZE_PX, SIZE_PX, device=compute.device)
    targets = torch.randint(CLASSES, (recipe["batch_size"],), device=compute.device)

    def bare_step() -> None:
        with compute.autocast():
            logits = bare(inputs)
        cross_entropy(logits.float(), targets).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    steps = {"bare": bare_step, "whole": Stepper(model, recipe, compute)}
    times = measure(steps, ROUNDS)
    return times["bare"] / times["whole"]


def main() -> None:
    config = load(FOLDER / "cifar10_small.yaml")
    for name, model in config.models.items():
        recipe = model.train.recorded()
        compute = devices.prepare(config.compute.recorded(), recipe["precision"])
        measured = ratio(model.recorded(), recipe, compute)
        print(f"{name:14s} {compute.dtype}: {measured:.3f} of the bare step's throughput (≥ 0.90)")


if __name__ == "__main__":
    main()
