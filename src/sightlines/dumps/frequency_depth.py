"""How far down a network notices Fourier noise of low, middle and high frequencies.

The conditions are the rings of `conditions.frequency` that the config's `depth` names; what is kept
is said in `dumps.condition_depth`.
"""

from typing import Any

from sightlines.conditions import frequency
from sightlines.core.files import TensorFile
from sightlines.dumps.condition_depth import paired
from sightlines.dumps.network import Shown
from sightlines.dumps.responses import image_facts

KIND = "frequency_depth"
READER = "sightlines.dumps.condition_depth_reading:DepthDump"
NETWORKS = "first_seed"
SPLITS = "reference"
USES = ("seed",)
CONDITIONS = "frequency"
"""The block of the config's `conditions` whose settings these are."""
ASKED = "depth"
"""Key of that block without which there is no such dump."""
UNUSED = ("images", "frequencies", "cells")
"""Keys of that block, or `images`, that this dump does not depend on."""


def record(shown: Shown, seed: int, conditions: dict[str, Any]) -> TensorFile:
    """Similarity of clean and noisy reference images, of all blocks.

    Args:
        shown: The network.
        seed: The experiment's root seed.
        conditions: The family's settings.
    """
    return paired(shown, frequency.rings(conditions, image_facts(shown)), seed)
