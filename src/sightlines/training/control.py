"""Command: makes a control out of an untrained network that starts idle, by switching it on.

Its branches start at (nearly) 0, or its norms go by statistics of no image (`models/idle.py`). The
control has the same weights but for the scales of its branches and BatchNorm's running statistics.
The scales are 1, or the least of 2, 4, … at which every branch counts: ConvNeXt's weights start so
small that branches of its first stage have .04 of their skip connection's norm at 1.

BatchNorm: with those that a network is built with, means 0 and variances 1, nothing is
normalised in evaluation mode, and what branches add makes variances grow from unit to unit. So they
are set by a pass over training images, the same at every call. The card says what was done.
"""

import functools
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from torch import Tensor, nn

from sightlines.core import devices, files, seeds
from sightlines.datasets.reading import ImageSet, normalise, open_dataset
from sightlines.datasets.store import fraction_images, open_splits
from sightlines.datasets.views import View
from sightlines.jobs.command import Job, run
from sightlines.models import building, idle
from sightlines.plan.networks import Network, as_initialised
from sightlines.training.history import write_history

MINIBATCHES, IMAGES = 16, 64
"""Minibatches of the pass that sets statistics, and images in each, where there are so many."""
LEAST = 0.05
"""Norm of a branch over that of its skip connection below which it hardly counts."""
MOST = 64
"""The largest scale that is tried."""
log = logging.getLogger(__name__)


def main(job: Job) -> None:
    """Switch a network on and write its three files; the history has no row."""
    network, root = Network(*job.config["network"]), job.config["seed"]
    compute = devices.prepare(job.config["compute"])
    job.notes |= compute.describe()
    splits = open_splits(job.input("splits"), job.input("dataset"))
    image_set = open_dataset(job.input("dataset"), job.source, compute)
    model, card = building.load_network(job.input("start"), job.input("start_card"))
    order = minibatches(root, network, fraction_images(splits, network.fraction))
    model = model.to(compute.device)
    done = make_control(model, functools.partial(_pixels, card, image_set, order))
    weights = {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}
    files.write_tensors(job.output("weights"), weights, {"network": network.slug})
    write_history(job.output("history"))
    own = {"network": network.slug, "seed": network.seed, "control": done}
    files.write_json(job.output("card"), card | own)


def minibatches(root: int, network: Network, images: np.ndarray) -> list[np.ndarray]:
    """Training images of the pass, drawn by the initialisation's name; the same whatever else runs.

    Args:
        root: The experiment's root seed.
        network: The control.
        images: Indices of the training images.

    Returns:
        Indices of each minibatch; of few images fewer minibatches, down to one.
    """
    names = "statistics", *as_initialised(network)
    drawn = images[seeds.generator(root, *names).permutation(len(images))]
    count = min(MINIBATCHES, max(len(drawn) // IMAGES, 1))
    return np.array_split(drawn[: MINIBATCHES * IMAGES], count)


def make_control(model: nn.Module, shown: Callable[[], Iterable[Tensor]]) -> dict[str, Any]:
    """Switch a network on, in place.

    Args:
        model: As it was initialised, in evaluation mode.
        shown: Minibatches of normalised images [n, 3, height, width], the same at every call; the
            first measures the branches.

    Returns:
        What was done, for the card: ``scales`` that were set, to ``scale``; ``statistics_images``
        that BatchNorm's statistics are of; and ``least_branch``, norm of the least branch over that
        of its skip connection, None where branches are not known.
    """
    names, scale = idle.idle_scales(model), 1
    while True:
        idle.set_scales(model, names, scale)
        seen = idle.set_statistics(model, shown())
        sizes = idle.branch_sizes(model, next(iter(shown())))
        least = min(sizes, default=math.nan)
        if not names or not least < LEAST or scale == MOST:
            break
        scale *= 2
    if least < LEAST:
        log.warning(
            f"the least of {len(sizes)} branches has {least:.3g} of its skip connection's norm, "
            f"though {len(names)} scales that start at 0 were set to {scale}"
        )
    known = round(least, 6) if math.isfinite(least) else None
    return {"scales": names, "scale": scale, "statistics_images": seen, "least_branch": known}


def _pixels(card: dict[str, Any], image_set: ImageSet, order: list[np.ndarray]) -> Iterator[Tensor]:
    """Normalised images, as the network sees them."""
    for images in image_set.batches("train", order, view=View.of(card)):
        yield normalise(images, card["mean"], card["std"])


if __name__ == "__main__":
    run(main)
