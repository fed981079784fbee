"""How far each head of any attention looks: windows, pyramids and hybrids too.

Mean attention distance of Raghu et al. 2021, section 4, with true distances in the image: between
the middles of what query and key stand for. A head that sees a window cannot look beyond it: its
`relative` is over attention that is uniform over the whole image.
"""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.attention_sites_reading import AttentionSitesDump
from sightlines.stats.means import quotient

READS = ("attention_sites",)
NEEDS = ("attention_sites",)
TABLES = {
    "attention_sites.csv": {
        "about": "How far each head looks where attention is not a plain ViT's",
        "row": "network × site × head",
        "columns": (
            "network",
            ("site", "int", "", "place of the attention among those of the network"),
            ("module", "text", "", "path of the module that computes it; #i: its i-th"),
            "head",
            ("windows", "int", "windows", "in which it attends, of one image"),
            ("queries", "int", "places", "of one image that attend"),
            ("keys", "int", "places", "of all windows that are attended to"),
            (
                "distance_px",
                "float",
                "px",
                "mean distance between query and key; keys without a place count nothing",
            ),
            ("distance_std_px", "float", "px", "its sample standard deviation over images"),
            (
                "distance_renormalised_px",
                "float",
                "px",
                "the same with attention renormalised over keys with a place",
            ),
            ("relative", "float", "", "`distance_px` ÷ `uniform_px`"),
            ("outside_mass", "float", "share", "attention to keys without a place"),
            ("entropy_nats", "float", "nats", "entropy of the attention"),
            (
                "uniform_px",
                "float",
                "px",
                "distance of attention that is uniform over all keys of the image",
            ),
            ("images", "int", "images", "reference images"),
            (
                "applied",
                "text",
                "",
                "what the network does to the attention after the softmax, before it multiplies "
                "values; the distances are those of what multiplies them",
            ),
        ),
    },
}


def measure(attention_sites: list[AttentionSitesDump]) -> dict[str, Any]:
    """Average each dump over images.

    Args:
        attention_sites: Of each network.
    """
    return {"attention_sites.csv": (site_table(dump) for dump in attention_sites)}


def site_table(dump: AttentionSitesDump) -> pd.DataFrame:
    """One row a head of each site: means over images."""
    places = [(i, h) for i, site in enumerate(dump.sites) for h in range(site["heads"])]
    own = [dump.sites[i] for i, _ in places]
    distance = dump.whole("distance_px")
    share = dump.whole("renormalised_share")
    renormalised = (dump.whole("distance_renormalised_px") * share).sum(axis=0)
    uniform = np.array([site["uniform_px"] for site in own])
    several = len(distance) > 1
    columns = {
        **dump.network._asdict(),
        "site": [i for i, _ in places],
        "module": [site["module"] for site in own],
        "head": [h for _, h in places],
        "windows": [site["windows"] for site in own],
        "queries": [site["queries"] for site in own],
        "keys": [site["keys"] for site in own],
        "distance_px": distance.mean(axis=0),
        "distance_std_px": distance.std(axis=0, ddof=1) if several else np.zeros(len(own)),
        "distance_renormalised_px": quotient(renormalised, share.sum(axis=0)),
        "relative": distance.mean(axis=0) / uniform,
        "outside_mass": dump.whole("outside_mass").mean(axis=0),
        "entropy_nats": dump.whole("entropy_nats").mean(axis=0),
        "uniform_px": uniform,
        "images": len(distance),
        "applied": ["; ".join(site["applied"]) for site in own],
    }
    return pd.DataFrame(columns)
