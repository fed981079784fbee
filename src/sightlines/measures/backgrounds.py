"""How much networks lean on the ground behind an object.

Source: Xiao et al. 2020, section 3: accuracy on objects on grounds of their own class, less that
on grounds of another. Where grounds tell nothing of the class (`ground_match` 0) it is 0 by design.
"""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.backgrounds_reading import BackgroundsDump
from sightlines.measures.responding import groups_of
from sightlines.stats.jackknife import ALL, leave_one_out

READS = ("backgrounds",)
USES = ("seed",)
NEEDS = ("mixed",)
TABLES = {
    "backgrounds.csv": {
        "about": "How much networks lean on the ground behind an object",
        "row": "network × left_out",
        "columns": (
            "network",
            ("same", "float", "share", "accuracy on objects on grounds of their own class"),
            ("other", "float", "share", "accuracy on the same objects on grounds of another class"),
            ("gap", "float", "share", "same − other"),
            ("images", "int", "images", "objects that these are means of"),
            "chance",
            "left_out",
        ),
    },
}


def measure(backgrounds: list[BackgroundsDump], seed: int) -> dict[str, Any]:
    """Accuracies of every network.

    Args:
        backgrounds: Of each network, of the same images.
        seed: The experiment's root seed.
    """
    return {"backgrounds.csv": [_table(dump, seed) for dump in backgrounds]}


def _table(dump: BackgroundsDump, seed: int) -> pd.DataFrame:
    groups = groups_of(dump.images, seed)
    sizes = leave_one_out(np.bincount(groups).astype(np.float64))
    same, other = (
        leave_one_out(np.bincount(groups, right.astype(np.float64))) / sizes
        for right in (dump.is_right["mixed_same"], dump.is_right["mixed_rand"])
    )
    return pd.DataFrame(
        {
            **dump.network._asdict(),
            "same": same,
            "other": other,
            "gap": same - other,
            "images": sizes.astype(np.int64),
            "chance": 1 / dump.classes,
            "left_out": np.arange(len(same)) + ALL,
        }
    )
