"""Training curves of all networks in one table."""

from typing import Any

import pandas as pd

from sightlines.plan.networks import Network

READS = ("history.csv",)
TABLES = {
    "curves.csv": {
        "about": "Training curves of all networks",
        "row": "network × step × split",
        "columns": ("network", "curve"),
    },
}


def measure(history: dict[Network, pd.DataFrame]) -> dict[str, Any]:
    """Join the networks' histories.

    Args:
        history: Of each network.
    """
    parts = [own.assign(**network._asdict()) for network, own in history.items()]
    return {"curves.csv": parts}
