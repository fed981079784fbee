"""Claims V2r, V3r and V4r: what a ViT's first layer has learned (Dosovitskiy et al. 2020)."""

import math

from sightlines.claims.cases import each
from sightlines.claims.claim import OF_CORRELATIONS, OF_SHARES, Claim, Criterion, Reading, exactly
from sightlines.claims.effects import CORRELATION, COSINE, SHARE
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.plan.networks import Network

STUDY = "dosovitskiy2020"
READS = ("embedding_statistics.csv", "accuracy.csv")
TABLE = "embedding_statistics.csv"


def _read(evidence: Evidence, network: Network, *columns: str) -> list[Reading]:
    """Statistics of weights, which no choice of images moves.

    Raises:
        NotMeasured: the network has no such weights.
    """
    row = evidence.rows(TABLE, network).iloc[0]
    found = [float(row[column]) for column in columns]
    for column, value in zip(columns, found, strict=True):
        if not math.isfinite(value):
            what = "patch filters" if column.startswith("filter") else "learned position embeddings"
            raise NotMeasured(f"{evidence.label(network.model)} has no {what}")
    return [exactly(value) for value in found]


def with_attention(evidence: Evidence) -> list[str]:
    """ViTs, however they are read out.

    Raises:
        NotMeasured: there is none.
    """
    return evidence.models("vit")


def _distance(evidence: Evidence, network: Network) -> list[Reading]:
    return _read(evidence, network, "distance_correlation")


def _rows(evidence: Evidence, network: Network) -> list[Reading]:
    return _read(evidence, network, "row_column_excess")


def _frequency(evidence: Evidence, network: Network) -> list[Reading]:
    return _read(evidence, network, "filter_frequency")


def _few(evidence: Evidence, network: Network) -> list[Reading]:
    return _read(evidence, network, "filter_frequency", "filter_components")


CLAIMS = (
    Claim(
        id="V2r",
        figure="Figure 7, centre",
        title="Position embeddings encode distance within the image",
        statement="Position embeddings encode distance within the image.",
        statistic="Spearman correlation of the cosine of two patches' position embeddings with "
        "their nearness, over all pairs of patches",
        criteria=(
            Criterion(
                "correlation of cosine and nearness",
                ">=",
                0.3,
                OF_CORRELATIONS,
                smallest=CORRELATION,
            ),
        ),
        reason="fifteen standard deviations of random embeddings of an 8 × 8 grid (.02)",
        paper_value="closer patches tend to have more similar position embeddings",
        source="[text]",
        tier="A",
        controls="untrained networks, which may start from sines; random embeddings (.02)",
        drawn="figvit_embeddings",
        cases=lambda evidence: each(evidence, with_attention(evidence), _distance),
    ),
    Claim(
        id="V2rb",
        figure="Figure 7, centre",
        title="Large networks' position embeddings encode distance clearly",
        statement="Large networks' position embeddings do so clearly.",
        statistic="that of V2r",
        criteria=(
            Criterion(
                "correlation of cosine and nearness",
                ">=",
                0.5,
                OF_CORRELATIONS,
                smallest=CORRELATION,
            ),
        ),
        reason="a quarter of the variance of ranks; nearness in rows and columns (V3r) keeps it "
        "from 1",
        paper_value="seen in the maps of ViT-L/32",
        source="[fig]",
        tier="B",
        controls="untrained networks, which may start from sines; random embeddings (.02)",
        drawn="figvit_embeddings",
        cases=lambda evidence: each(evidence, with_attention(evidence), _distance),
    ),
    Claim(
        id="V3r",
        figure="Figure 7, centre",
        title="Embeddings in one row or column are more similar",
        statement="Patches in the same row or column have more similar embeddings than others as "
        "far apart.",
        statistic="mean cosine of position embeddings within rows and columns, minus that of other "
        "pairs at the same distance",
        criteria=(Criterion("within rows and columns − others", ">=", 0.05, smallest=COSINE),),
        reason="smooth embeddings that prefer no direction have .02, random ones ± .01",
        paper_value="row-column structure appears",
        source="[text]",
        tier="A",
        controls="untrained networks, which may start from sines; smooth random embeddings (.02)",
        drawn="figvit_embeddings",
        cases=lambda evidence: each(evidence, with_attention(evidence), _rows),
    ),
    Claim(
        id="V3rb",
        figure="Figure 7, centre",
        title="Large networks' embeddings show rows and columns clearly",
        statement="Large networks' position embeddings show rows and columns clearly.",
        statistic="that of V3r",
        criteria=(Criterion("within rows and columns − others", ">=", 0.1, smallest=COSINE),),
        reason="five times what smooth embeddings have that prefer no direction",
        paper_value="seen in the maps of ViT-L/32",
        source="[fig]",
        tier="B",
        controls="untrained networks, which may start from sines; smooth random embeddings (.02)",
        drawn="figvit_embeddings",
        cases=lambda evidence: each(evidence, with_attention(evidence), _rows),
    ),
    Claim(
        id="V4r",
        figure="Figure 7, left",
        title="Filters of the patch embedding become smooth",
        statement="Filters of the patch embedding become smooth.",
        statistic="mean frequency of the filters' power over that of white filters",
        criteria=(Criterion("frequency over that of white filters", "<=", 0.8, smallest=SHARE),),
        reason="white filters, which networks start from, have 1",
        paper_value="plausible basis functions for a low-dimensional representation of each patch",
        source="[text]",
        tier="A",
        controls="untrained networks (1)",
        drawn="figvit_embeddings",
        cases=lambda evidence: each(evidence, with_attention(evidence), _frequency),
    ),
    Claim(
        id="V4rb",
        figure="Figure 7, left",
        title="Large networks' filters are smooth and few",
        statement="Large networks' filters are smooth and few.",
        statistic="that of V4r; principal components for 90 % of the filters' variance, of all",
        criteria=(
            Criterion("frequency over that of white filters", "<=", 0.6, smallest=SHARE),
            Criterion("components for 90 % of the variance", "<=", 0.5, OF_SHARES, smallest=SHARE),
        ),
        reason="low-dimensional is at most half of the dimensions; as many white filters as a "
        "patch has values need .52 of them, a quarter as many .76",
        paper_value="28 components are shown",
        source="[fig]",
        tier="B",
        controls="untrained networks (1; .52 to .76)",
        drawn="figvit_embeddings",
        cases=lambda evidence: each(evidence, with_attention(evidence), _few),
    ),
)
