"""How long a network trains and how fast it learns at every step; no torch, so checks are quick."""

import math
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

import numpy as np

from sightlines.core import seeds
from sightlines.core.errors import ConfigError
from sightlines.plan.networks import Network, per_cent

if TYPE_CHECKING:

    class Recipe(Protocol):
        """What is asked of a recipe, with the type of each value."""

        @overload
        def __getitem__(
            self, key: Literal["steps", "warmup_steps", "crop_padding_px"], /
        ) -> int: ...
        @overload
        def __getitem__(self, key: Literal["learning_rate", "ema_decay"], /) -> float: ...
        @overload
        def __getitem__(self, key: str, /) -> Any: ...

else:
    Recipe = dict[str, Any]
    """The config's `train`, complete."""


def check(recipe: Recipe, size_px: int) -> None:
    """Refuse a recipe that cannot be followed on images of this size.

    Raises:
        ConfigError: the crop's padding is not smaller than the image.
    """
    padding = recipe["crop_padding_px"]
    if recipe["crop"] == "pad" and padding >= size_px:
        raise ConfigError(
            f"train.crop_padding_px {padding} reflects more than there is in images of {size_px} "
            f"px: use at most {size_px - 1}"
        )


def total_steps(recipe: Recipe, fraction: str) -> int:
    """Optimiser steps for a network trained on this fraction; 0 for the untrained one.

    With `equal_epochs` they shrink with the fraction, to 1 at least.
    """
    share = per_cent(fraction) / 100
    if share == 0:
        return 0
    if recipe["budget"] == "equal_steps":
        return recipe["steps"]
    return max(1, round(recipe["steps"] * share))


def learning_rate(step: int, recipe: Recipe, total: int) -> float:
    """Learning rate of step `step`, counted from 0, out of `total`.

    Linear warm-up to the peak, which is first reached in the last step of the warm-up, then a
    fall that would reach zero one step after the last. The warm-up shrinks with the steps where
    a smaller fraction trains for fewer.
    """
    peak = recipe["learning_rate"]
    warm_up = min(round(recipe["warmup_steps"] * total / recipe["steps"]), total)
    if step < warm_up:
        return peak * (step + 1) / warm_up
    if recipe["schedule"] == "constant":
        return peak
    passed = (step - warm_up) / max(total - warm_up, 1)
    if recipe["schedule"] == "linear":
        return peak * (1 - passed)
    return peak * 0.5 * (1 + math.cos(math.pi * passed))


def ema_decay(step: int, recipe: Recipe) -> float:
    """Decay of the averaged weights after step `step`: min(decay, (1 + step) / (10 + step)).

    Smaller at first, so that the initial weights are soon forgotten.
    """
    return min(recipe["ema_decay"], (1 + step) / (10 + step))


def init_seed(root: int, network: Network, is_shared: bool) -> int:
    """Seed of a network's initial weights: its model's if shared, else its own."""
    if is_shared:
        return seeds.derive(root, "init", network.model)
    return seeds.derive(root, "init", *network)


class Order:
    """Which images make up every step's minibatch: shuffled epochs, each image once in each.

    An epoch's last images are completed by the next epoch's first ones, so all minibatches are
    equally large, also where a minibatch is larger than the epoch. The order of any step follows
    from the seeds alone.
    """

    def __init__(self, root: int, network: Network, images: np.ndarray, batch_size: int) -> None:
        """Order the image indices `images` for one network.

        Raises:
            ConfigError: there are no images.
        """
        if not len(images):
            raise ConfigError(
                f"fraction {network.fraction} has no training images: use a larger fraction in "
                "runs, or more images"
            )
        self._root, self._network = root, network
        self._images, self._batch_size = images, batch_size
        self._epochs: dict[int, np.ndarray] = {}

    def batch(self, step: int) -> np.ndarray:
        """Indices into the dataset's train split of step `step`'s minibatch."""
        begin, n = step * self._batch_size, len(self._images)
        end = begin + self._batch_size
        epochs = range(begin // n, (end - 1) // n + 1)
        parts = [self._epoch(e)[max(begin - e * n, 0) : end - e * n] for e in epochs]
        self._epochs = {e: o for e, o in self._epochs.items() if e >= epochs[0] - 1}
        return np.concatenate(parts)

    def _epoch(self, epoch: int) -> np.ndarray:
        if epoch not in self._epochs:
            generator = seeds.generator(self._root, *self._network, "order", epoch)
            self._epochs[epoch] = self._images[generator.permutation(len(self._images))]
        return self._epochs[epoch]
