"""Claim C5b: what a ViT's final third changes (paper, sections 3 and 5, on Figure 2)."""

import numpy as np

from sightlines.claims.cases import each
from sightlines.claims.claim import Claim, Criterion, Reading, from_replicates
from sightlines.claims.effects import SIMILARITY
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.statistics import depths
from sightlines.plan.networks import Network

QUESTION = "structure"
READS = ("token_cka_replicates.safetensors", "layers.csv", "accuracy.csv")
TOP = 2 / 3
"""Depth from which on layers are the final third."""


def _kept(evidence: Evidence, network: Network) -> list[Reading]:
    """How much of the spatial tokens is kept over the final third, less that of the class token.

    Raises:
        NotMeasured: the network has too few blocks.
    """
    blocks = evidence.blocks(network.model)
    below = np.flatnonzero(depths(len(blocks)) < TOP)
    if len(blocks) < 3:
        raise NotMeasured(f"needs {network.model} with three blocks or more")
    last, start = blocks[-1], blocks[below[-1]]
    kept = [evidence.token_cka(t, network, network)[:, start, last] for t in ("spatial", "cls")]
    return [from_replicates(kept[0] - kept[1])]


CLAIMS = (
    Claim(
        id="C5b",
        figure="Figure 2",
        title="A ViT's final third changes the class token most",
        statement="A ViT's final third of layers changes the class token more than the spatial "
        "tokens.",
        statistic="CKA of the last block below two thirds of the depth with the last block: of the "
        "spatial tokens alone minus of the class token alone",
        criteria=(
            Criterion(
                "kept by spatial tokens − by the class token", ">=", 0.0, smallest=SIMILARITY
            ),
        ),
        reason="the paper claims an order (the final third mainly manipulates the class token)",
        paper_value="the final third mainly manipulates the CLS token",
        source="[text]",
        tier="B",
        controls="untrained networks",
        drawn="fig02_tokens",
        cases=lambda evidence: each(evidence, evidence.vits(), _kept),
    ),
)
