"""Whether a layer goes by outlines or by surfaces: CKA of images with those that share one cue.

Of images whose outline and surface are of different classes (Geirhos et al. 2019), CKA with the
same outlines on other surfaces, and with the same surfaces in other outlines, layer by layer,
unbiased, from sums over minibatches. Where the first is the larger a layer tells images apart by
outlines more than by surfaces; what the pixels give (`name` pixels) is the size of either change.
The estimator is that of Raghu et al. 2021, appendix A; the question is new.
"""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.datasets.shapes_conflicts import OTHER_SHAPE, OTHER_TEXTURE
from sightlines.dumps.conflict_depth_reading import ConflictDepthDump
from sightlines.measures.condition_depth import depth_table, similarities
from sightlines.stats.jackknife import standard_error, warn_of_few

READS = ("conflict_depth",)
NEEDS = ("conflict_depth", "conflicts")
TABLES = {
    "conflict_depth.parquet": {
        "about": "How alike images are to every layer that share outline or surface",
        "row": "network × condition × layer × left_out",
        "columns": (
            "network",
            (
                "condition",
                "text",
                "",
                "what is another class's: other_texture, the surface; other_shape, the outline",
            ),
            ("severity", "float", "", "1"),
            ("name", "text", "", "the layer's name; pixels: the images themselves"),
            ("block", "int", "", "block or residual unit, from 0; −1: pixels, final norm"),
            ("depth", "float", "", "normalised depth, 0 (first block) … 1 (last); −1: pixels"),
            ("cka", "float", "", "unbiased linear CKA of images with the changed ones"),
            "left_out",
        ),
    },
    "conflict_lead.csv": {
        "about": "How far each layer goes by outlines rather than by surfaces",
        "row": "network × layer",
        "columns": (
            "network",
            ("name", "text", "", "the layer's name; pixels: the images themselves"),
            ("block", "int", "", "block or residual unit, from 0; −1: pixels, final norm"),
            ("depth", "float", "", "normalised depth, 0 (first block) … 1 (last); −1: pixels"),
            (
                "lead",
                "float",
                "",
                "CKA with the same outlines less CKA with the same surfaces; above 0: by outlines",
            ),
            ("lead_se", "float", "", "its jackknife standard error over minibatches"),
            ("beyond_pixels", "float", "", "lead less that of the pixels"),
        ),
    },
}


def measure(conflict_depth: list[ConflictDepthDump]) -> dict[str, Any]:
    """CKA with either cue changed, and which of both a layer goes by.

    Args:
        conflict_depth: Of each network.
    """
    if conflict_depth:
        warn_of_few(len(conflict_depth[0].batch_sizes))
    both = {OTHER_TEXTURE, OTHER_SHAPE}
    paired = [d for d in conflict_depth if {name for name, _ in d.conditions} == both]
    return {
        "conflict_depth.parquet": [depth_table(dump) for dump in conflict_depth],
        "conflict_lead.csv": [lead_table(dump) for dump in paired],
    }


def lead_table(dump: ConflictDepthDump) -> pd.DataFrame:
    """conflict_lead.csv of one network."""
    places = {name: place for place, (name, _) in enumerate(dump.conditions)}
    cka = similarities(dump)
    lead = cka[:, places[OTHER_TEXTURE]] - cka[:, places[OTHER_SHAPE]]
    columns = {key: [row[key] for row in dump.rows] for key in ("name", "block", "depth")}
    errors = [float(standard_error(lead[:, row])) for row in range(len(dump.rows))]
    own = {"lead": lead[0], "lead_se": np.array(errors), "beyond_pixels": lead[0] - lead[0, 0]}
    return pd.DataFrame({**columns, **own}).assign(**dump.network._asdict())
