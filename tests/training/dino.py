"""A recipe of self-distillation for the tiny networks of `jobs`, and a training to step by hand."""

import json

import numpy as np

from sightlines.core.devices import prepare
from sightlines.core.files import TensorReader
from sightlines.datasets.reading import open_dataset
from sightlines.models.building import build
from sightlines.plan import objectives
from sightlines.plan.architectures import described
from sightlines.plan.networks import Network
from sightlines.training.dino.distillation import Distillation
from sightlines.training.objectives.dino import USES, main
from sightlines.training.training import Plan
from sightlines.training.unsupervised import NOT_FOLLOWED
from tests.training.jobs import COMPUTE, RECIPE, VIT, job_config, make_job

SMALL = {"out_dim": 24, "hidden_dim": 20, "bottleneck_dim": 8, "local_crops": 2}
"""A head for tests."""
VIT8 = VIT | {"patch_px": 2}
"""Of images of 8 px, so that small crops have fewer patches: 2 × 2 of 4 × 4."""


def recipe(dino=None, **changes):
    own = objectives.settings("dino", SMALL | (dino or {}))
    followed = {key: value for key, value in (RECIPE | changes).items() if key in USES}
    return followed | {"objective": "dino", "dino": own}


def dino_config(
    model=VIT8, network=("vit_small", "f100", "s0"), dino=None, compute=None, **changes
):
    config = job_config(model, network, compute)
    config["model"]["train"] = recipe(dino, **changes)
    return config


def distil(folder, out, config):
    """Run a training job in this process and return the folder of its results."""
    main(make_job(folder, out, config))
    return folder / out


def distillation(folder, config=None, team=None):
    """A training before its first step, on the images of a workplace."""
    config = json.loads(json.dumps(config or dino_config()))
    own, network = config["model"]["train"], Network(*config["network"])
    compute = prepare(COMPUTE, own["precision"])
    image_set = open_dataset(folder / "data" / "dataset.json", folder, compute)
    images = np.array(TensorReader(folder / "splits.safetensors")["train"])
    plan = Plan(
        network=network,
        root=config["seed"],
        recipe=NOT_FOLLOWED | own,
        total=own["steps"],
        images=images,
        image_set=image_set,
        compute=compute,
        checkpoint_every_s=1000.0,
    )
    size_px = image_set.size_px
    backbone = build(config["model"], size_px, 0, seed=1)
    return Distillation(plan, backbone, described(config["model"], size_px), team)


def pixels(training, count=13, step=0):
    """The first training images [count, 3, 8, 8], and their indices."""
    batch = training.plan.images[step * count : (step + 1) * count]
    (images,) = training.plan.image_set.batches("train", [batch])
    return images, batch
