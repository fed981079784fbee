"""Which untrained controls an experiment has besides the networks that its runs list.

A model with an untrained network (f000) among the runs has as many initialisations as the key
`controls` says: the seeds that the runs list, then s0, s1, … And a model that starts idle, with
branches at (nearly) 0 or with BatchNorm's statistics of no image, has a twin of each that was
switched on (`training/control.py`): as it starts, it says nothing about its architecture.
"""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from sightlines.plan import roles
from sightlines.plan.architectures import starts_idle
from sightlines.plan.networks import UNTRAINED, Network, switched_on


def added(
    listed: Iterable[Network], models: Mapping[str, Any], size_px: int, count: int
) -> list[Network]:
    """Controls that the runs do not list, model after model.

    Args:
        listed: Networks of the runs, in the config's order.
        models: The models' settings.
        size_px: Side of the dataset's images.
        count: Initialisations of each model.
    """
    listed = list(listed)
    found = []
    for model in roles.models(n for n in listed if n.fraction == UNTRAINED):
        own = roles.on(listed, model, UNTRAINED)
        further = _further(own[0], [n.seed for n in own], count)
        idle = starts_idle(models[model], size_px)
        found += [switched_on(n) for n in (*own, *further)] if idle else further
    return found


def _further(first: Network, seeds: list[str], count: int) -> list[Network]:
    """As many more initialisations as are missing, by the first seeds that are not there."""
    names = (name for i in itertools.count() if (name := f"s{i}") not in seeds)
    missing = max(count - len(seeds), 0)
    return [first._replace(seed=name) for name in itertools.islice(names, missing)]
