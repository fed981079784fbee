"""What networks answer to Fourier noise, one frequency at a time.

Source: Yin et al. 2019, section 3; Paul & Chen 2021, section 4.5. The conditions are those of
`conditions.frequency`; what is kept of each is said in `dumps.responses`. The description adds the
side of the images in px (`size_px`), the number of `cells` along a side of the patch grid, and
which frequencies are those of the map (`of_map`), where others are there for the grid alone.
"""

from typing import Any

from sightlines.conditions import frequency
from sightlines.core.files import TensorFile
from sightlines.dumps.network import Shown
from sightlines.dumps.responses import image_facts, to_conditions

KIND = "frequencies"
READER = "sightlines.dumps.frequencies_reading:FrequenciesDump"
NETWORKS = "compared"
SPLITS = "splits"
USES = ("seed",)
CONDITIONS = "frequency"
"""The family of `conditions` whose networks and settings these are."""
UNUSED = ("depth",)
"""Keys of that block, or `images`, that this dump does not depend on."""


def record(shown: Shown, seed: int, conditions: dict[str, Any]) -> TensorFile:
    """Answers to the images as they are, and with noise of every frequency.

    Args:
        shown: The network.
        seed: The experiment's root seed.
        conditions: The family's settings, and how many `images` are shown.
    """
    facts = image_facts(shown)
    wanted = frequency.conditions(conditions, facts)
    found = to_conditions(shown, wanted, seed, conditions["images"])
    of_map = {frequency.name_of(f) for f in frequency.of_map(conditions, facts.size_px)}
    own = {
        "size_px": facts.size_px,
        "cells": conditions["cells"],
        "of_map": [condition.name in of_map for condition in wanted],
    }
    return found._replace(meta={**found.meta, **own})
