"""Images per CPU second in training: today's thin ViT of `default` against an older one's.

    python benchmarks/training_speed.py

Both networks and recipes in one process, minibatches in turn, on the same random images: the whole
step of a training job (`Stepper`), and the bare one (forward, backward, optimiser step). OLD is
what `default` had at c863f11; its training code takes the same step. Goal: at least 1.6 times the
images.
"""

import torch
from measuring import CLASSES, SIZE_PX, Stepper, measure
from torch.nn.functional import cross_entropy

from sightlines.core import devices
from sightlines.models import building
from sightlines.plan.config import FOLDER, complete, load
from sightlines.training.recipe import make_optimizer

ROUNDS = 24
OLD = {
    "dataset": {"kind": "shapes"},
    "models": {
        "vit_small": {"family": "vit", "patch_px": 4, "width": 36, "depth": 6, "heads": 6},
    },
    "runs": [{"models": ["vit_small"], "fractions": ["f100"], "seeds": ["s0"]}],
    "train": {
        **{"steps": 300, "batch_size": 64, "learning_rate": 0.003, "warmup_steps": 80},
        **{"weight_decay": 0.05, "crop": "pad", "crop_padding_px": 2, "precision": "fp32"},
    },
}


def bare_step(model: dict, recipe: dict):
    network = building.build(model, SIZE_PX, CLASSES, 1).train()
    optimizer = make_optimizer(network, recipe)
    inputs = torch.randn(recipe["batch_size"], 3, SIZE_PX, SIZE_PX)
    targets = torch.randint(CLASSES, (recipe["batch_size"],))

    def step() -> None:
        cross_entropy(network(inputs), targets).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def main() -> None:
    models = {"old": complete(OLD, "OLD").models["vit_small"].recorded()}
    config = load(FOLDER / "default.yaml")
    models["now"] = config.models["vit_small"].recorded()
    compute = devices.prepare(config.compute.recorded(), "fp32")
    steps = {}
    for name, model in models.items():
        steps[name, "whole"] = Stepper(model, model["train"], compute)
        steps[name, "bare"] = bare_step(model, model["train"])
    seconds = measure(steps, ROUNDS)
    rates = {
        (name, kind): models[name]["train"]["batch_size"] / s for (name, kind), s in seconds.items()
    }
    for name, model in models.items():
        network = building.build(model, SIZE_PX, CLASSES, 1)
        count = sum(parameter.numel() for parameter in network.parameters())
        both = ", ".join(f"{kind} step {rates[name, kind]:.0f}" for kind in ("whole", "bare"))
        print(f"{name}: {count} parameters, images a CPU second: {both}")
    ratios = {kind: rates["now", kind] / rates["old", kind] for kind in ("whole", "bare")}
    print(f"now / old: whole {ratios['whole']:.2f} (≥ 1.6), bare {ratios['bare']:.2f}")


if __name__ == "__main__":
    main()
