"""A whole training step against the bare one.

    python benchmarks/training_step.py

For every model of cifar10_small: throughput of its training step with the recipe's augmentation,
CutMix, clipping and averaged weights, on images kept as uint8, over that of forward, backward and
optimiser step of the same network on resident random floats. Both alternate within one process;
medians of processor time. Goal: at least 0.90.
"""

import statistics
import time

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from sightlines import devices
from sightlines.config import FOLDER, load
from sightlines.models import building
from sightlines.networks import Network
from sightlines.training.finite import FiniteWatch
from sightlines.training.recipe import make_optimizer
from sightlines.training.schedule import Order
from sightlines.training.training import Plan, Training, use_plain_attention

IMAGES, SIZE_PX, CLASSES, ROUNDS = 4096, 32, 10, 24


class Resident:
    """Random images with the interface of an opened dataset."""

    classes = tuple(map(str, range(CLASSES)))
    size_px = SIZE_PX
    mean, std = (0.5,) * 3, (0.25,) * 3

    def __init__(self, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (IMAGES, 3, SIZE_PX, SIZE_PX)
        self._images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        self._images = self._images.to(device)

    def labels(self, _split: str) -> np.ndarray:
        return np.arange(IMAGES) % CLASSES

    def take(self, batch: np.ndarray) -> torch.Tensor:
        return self._images.index_select(0, torch.from_numpy(batch).to(self._images.device))


def whole_step(training: Training, order: Order, watch: FiniteWatch) -> None:
    batch = order.batch(training.step)
    loss, right = training.loss(training.plan.image_set.take(batch), batch)
    norm = training.backward(loss)
    watch.add(training.step, loss, norm, stop)
    training.meter.add(loss, right, len(batch))
    training.update()


def stop(step: int, what: str, value: float) -> None:
    raise SystemExit(f"{what} is {value} at step {step}")


def ratio(model: dict, recipe: dict, compute: devices.Compute) -> float:
    image_set = Resident(compute.device)
    network = Network("model", "f100", "s0")
    plan = Plan(network, 0, recipe, 10**6, np.arange(IMAGES), image_set, compute, 60.0)
    training = Training(plan, building.build(model, SIZE_PX, CLASSES, 1))
    order = Order(0, network, plan.images, recipe["batch_size"])
    watch = FiniteWatch(compute.device)

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

    times: dict[str, list[float]] = {"bare": [], "whole": []}
    for round_ in range(ROUNDS + 2):
        for name, step in (
            ("bare", bare_step),
            ("whole", lambda: whole_step(training, order, watch)),
        ):
            began = time.process_time()
            step()
            if round_ > 1:
                times[name].append(time.process_time() - began)
    return statistics.median(times["bare"]) / statistics.median(times["whole"])


def main() -> None:
    config = load(FOLDER / "cifar10_small.yaml")
    for name, model in config["models"].items():
        recipe = model["train"]
        compute = devices.prepare(config["compute"], recipe["precision"])
        measured = ratio(model, recipe, compute)
        print(f"{name:14s} {compute.dtype}: {measured:.3f} of the bare step's throughput (≥ 0.90)")


if __name__ == "__main__":
    main()
