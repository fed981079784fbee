"""What networks answer to occluded and shuffled images.

Source: Naseer et al. 2021, sections 3.1 to 3.3. The conditions are those of
`conditions.occlusion`; what is kept of each is said in `dumps.responses`.
"""

from typing import Any

from sightlines.conditions import occlusion
from sightlines.core.files import TensorFile
from sightlines.dumps.network import Shown
from sightlines.dumps.responses import image_facts, to_conditions

KIND = "occlusions"
READER = "sightlines.dumps.responses_reading:ResponsesDump"
NETWORKS = "compared"
SPLITS = "splits"
USES = ("seed",)
CONDITIONS = "occlusion"
"""The block of the config's `conditions` whose settings these are."""
UNUSED = ("depth",)
"""Keys of that block, or `images`, that this dump does not depend on."""


def record(shown: Shown, seed: int, conditions: dict[str, Any]) -> TensorFile:
    """Answers to the images as they are, and under every condition.

    Args:
        shown: The network.
        seed: The experiment's root seed.
        conditions: The family's settings, and how many `images` are shown.
    """
    wanted = occlusion.conditions(conditions, image_facts(shown))
    return to_conditions(shown, wanted, seed, conditions["images"])
