"""What names one trained network: model, data fraction, seed."""

from typing import NamedTuple

FULL, UNTRAINED = "f100", "f000"
"""Fractions: all training images, and none."""


class Network(NamedTuple):
    """One network of an experiment, for example ``vit_small/f100/s0``."""

    model: str
    fraction: str
    seed: str

    @property
    def slug(self) -> str:
        """Its path below `models/` and `dumps/<kind>/`."""
        return "/".join(self)

    @classmethod
    def parse(cls, slug: str) -> "Network":
        """The network that a slug names."""
        return cls(*slug.split("/"))


def per_cent(fraction: str) -> int:
    """Share of the training images that ``f003`` … ``f100`` stands for; 0 is untrained."""
    return int(fraction.removeprefix("f"))


ON = "_on"
"""Ends the seed of an untrained network that was switched on: see `training/control.py`."""


def is_on(network: Network) -> bool:
    """Whether this is an untrained network that was switched on, to serve as a control."""
    return network.seed.endswith(ON)


def as_initialised(network: Network) -> Network:
    """The network as its initialisation leaves it: ``resnet/f000/s0`` of ``resnet/f000/s0_on``."""
    return network._replace(seed=network.seed.removesuffix(ON))


def switched_on(network: Network) -> Network:
    """The control that is made of an untrained network by switching it on."""
    return as_initialised(network)._replace(seed=as_initialised(network).seed + ON)
