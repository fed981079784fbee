"""How far down a network notices that an image is occluded or shuffled.

The conditions are those of `conditions.occlusion` that the config's `depth` names; what is kept is
said in `dumps.condition_depth`.
"""

from pathlib import Path
from typing import Any

from sightlines.conditions import occlusion
from sightlines.core.files import TensorFile
from sightlines.dumps.condition_depth import at_labels, paired
from sightlines.dumps.network import Shown
from sightlines.dumps.responses import image_facts

KIND = "occlusion_depth"
READER = "sightlines.dumps.condition_depth_reading:DepthDump"
NETWORKS = "first_seed"
SPLITS = "reference"
USES = ("seed",)
BESIDE = ("masks",)
CONDITIONS = "occlusion"
"""The block of the config's `conditions` whose settings these are."""
UNUSED = ("images",)
"""Keys of that block, or `images`, that this dump does not depend on."""


def record(
    shown: Shown, seed: int, conditions: dict[str, Any], masks: Path | None = None
) -> TensorFile:
    """Similarity of clean and changed reference images, of all blocks.

    Args:
        shown: The network.
        seed: The experiment's root seed.
        conditions: The family's settings.
        masks: The list of the photographs' masks, where there is one.
    """
    every = occlusion.conditions(conditions, image_facts(shown, masks))
    return paired(shown, at_labels(every, conditions["depth"]), seed)
