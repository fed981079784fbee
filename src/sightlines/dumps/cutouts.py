"""What networks answer to images of which a square was filled.

Source: Paul & Chen 2021, Table 6. The conditions are those of `conditions.cutout`; what is kept of
each is said in `dumps.responses`.
"""

from typing import Any

from sightlines.conditions import cutout
from sightlines.core.files import TensorFile
from sightlines.dumps.network import Shown
from sightlines.dumps.responses import image_facts, to_conditions

KIND = "cutouts"
READER = "sightlines.dumps.responses_reading:ResponsesDump"
NETWORKS = "compared"
SPLITS = "splits"
USES = ("seed",)
CONDITIONS = "cutout"
"""The family of `conditions` whose networks and settings these are."""


def record(shown: Shown, seed: int, conditions: dict[str, Any]) -> TensorFile:
    """Answers to the images as they are, and under every condition.

    Args:
        shown: The network.
        seed: The experiment's root seed.
        conditions: The family's settings, and how many `images` are shown.
    """
    wanted = cutout.conditions(conditions, image_facts(shown))
    return to_conditions(shown, wanted, seed, conditions["images"])
