"""How far each attention head looks before and after a network was trained further.

Source: Raghu et al. 2021, appendix C, Figure C.6: the paper's Figure 3 is of networks that were
fine-tuned, and Figure C.6 of one that was not. Both are shown the experiment's own reference
images, and the distance is that of `attention_replicates`.
"""

from typing import Any

import pandas as pd

from sightlines.dumps.reading import AttentionDump
from sightlines.measures.attention_replicates import replicate_table
from sightlines.plan.networks import Network

READS = ("attention", "tuned_attention")
USES = ("tasks",)
NEEDS = ("tuned_attention",)
TABLES = {
    "tuned_attention.parquet": {
        "about": "How far attention heads look before and after fine-tuning on another task",
        "row": "network × task × block × head × left_out",
        "columns": (
            "network",
            "task",
            "block",
            "head",
            ("before", "float", "", "mean distance ÷ that of uniform attention, before"),
            ("after", "float", "", "the same of the network that was trained further"),
            ("uniform_px", "float", "px", "distance of attention that is uniform over patches"),
            "left_out",
        ),
    },
}
PLACE = ["block", "head", "left_out"]


def measure(
    attention: list[AttentionDump],
    tuned_attention: dict[str, list[AttentionDump]],
    tasks: dict[str, str],
) -> dict[str, Any]:
    """Every tuned network beside the one that it started from.

    Args:
        attention: Of each network.
        tuned_attention: Of each task, of the networks that were trained further on it.
        tasks: Each with its domain.
    """
    before = {dump.network: dump for dump in attention}
    return {
        "tuned_attention.parquet": [
            compare(before[after.network], after).assign(task=task, domain=tasks[task])
            for task, dumps in tuned_attention.items()
            for after in dumps
        ]
    }


def compare(before: AttentionDump, after: AttentionDump) -> pd.DataFrame:
    """Distances of one network's heads before and after, by head and replicate."""
    tables = [replicate_table(dump) for dump in (before, after)]
    found = tables[0][PLACE].assign(uniform_px=before.uniform_px)
    for name, table in zip(("before", "after"), tables, strict=True):
        own = table[[*PLACE, "relative"]].rename(columns={"relative": name})
        found = found.merge(own, on=PLACE, validate="one_to_one")
    return found.assign(**dict(zip(Network._fields, before.network, strict=True)))
