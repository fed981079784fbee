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
