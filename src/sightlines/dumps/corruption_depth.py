"""How far down a network notices that an image is corrupted.

The conditions are those of `conditions.corruption` that the config's `depth` names; what is kept is
said in `dumps.condition_depth`.
"""

from typing import Any

from sightlines.conditions import corruption
from sightlines.core.files import TensorFile
from sightlines.dumps.condition_depth import at_labels, paired
from sightlines.dumps.network import Shown
from sightlines.dumps.responses import image_facts

KIND = "corruption_depth"
READER = "sightlines.dumps.condition_depth_reading:DepthDump"
NETWORKS = "first_seed"
SPLITS = "reference"
USES = ("seed",)
CONDITIONS = "corruption"
"""The block of the config's `conditions` whose settings these are."""
ASKED = "depth"
"""Key of that block without which there is no such dump."""
UNUSED = ("images", "names", "severities")
"""Keys of that block, or `images`, that this dump does not depend on."""


def record(shown: Shown, seed: int, conditions: dict[str, Any]) -> TensorFile:
    """Similarity of clean and corrupted reference images, of all blocks.

    Args:
        shown: The network.
        seed: The experiment's root seed.
        conditions: The family's settings.
    """
    every = {"names": [*corruption.CONSTANTS], "severities": [*corruption.SEVERITIES]}
    known = corruption.conditions(every, image_facts(shown))
    return paired(shown, at_labels(known, conditions["depth"]), seed)
