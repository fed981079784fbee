"""What networks answer to corrupted images.

Source: Hendrycks & Dietterich 2019; Paul & Chen 2021, section 4.1. The conditions are those of
`conditions.corruption`; what is kept of each is said in `dumps.responses`.
"""

from typing import Any

from sightlines.conditions import corruption
from sightlines.core.files import TensorFile
from sightlines.dumps.network import Shown
from sightlines.dumps.responses import image_facts, to_conditions

KIND = "corruptions"
READER = "sightlines.dumps.responses_reading:ResponsesDump"
NETWORKS = "compared"
TRANSFER = ("tuned",)
SPLITS = "splits"
USES = ("seed",)
CONDITIONS = "corruption"
"""The family of `conditions` whose networks and settings these are."""
UNUSED = ("depth",)
"""Keys of that block, or `images`, that this dump does not depend on."""


def record(shown: Shown, seed: int, conditions: dict[str, Any]) -> TensorFile:
    """Answers to the images as they are, and under every corruption at every severity.

    Args:
        shown: The network.
        seed: The experiment's root seed.
        conditions: The family's settings, and how many `images` are shown.
    """
    wanted = corruption.conditions(conditions, image_facts(shown))
    return to_conditions(shown, wanted, seed, conditions["images"])
