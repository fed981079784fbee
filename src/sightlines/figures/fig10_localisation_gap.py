"""Figure 10: the same ViT trained with a class token and with global average pooling."""

from typing import Any

from matplotlib.figure import Figure

from sightlines.figures import localisation_panels as panels
from sightlines.figures.style import styled
from sightlines.plan import roles
from sightlines.results.selecting import Tables, architectures, networks

TITLE = "Localisation with a class token and with average pooling"
PAPER = "Figure 10"
QUESTION = "places"
CAPTION = (
    "As Figure 9, for ViTs that are classified by their class token (CLS) and by the mean of their "
    "tokens (GAP). Look for: own patches that stand out less with GAP (lower z, larger rank), and "
    "maps that are alike for all tokens (a correlation of maps near 1). Equally sharp own patches "
    "would contradict the paper's reading that the way of pooling decides localisation."
)
EXPLAINS = (
    "Does the way a ViT is read out decide whether its tokens keep their place?",
    "Two ViTs that differ in their read-out alone are compared as in Figure 9: CKA of each token "
    "of the final block with the pixels of every patch.",
    "If only the network with the class token has single bright own patches, averaging over tokens "
    "has made them all alike.",
)
DIFFERS = (
    "Both networks share one recipe, where the paper's GAP network was trained with a learning "
    "rate of its own; the untrained networks and the pixels stand beside them."
)
READS = ("localisation.parquet", "localisation_tokens.parquet", "localisation_maps.parquet")
NEEDS = ("gap",)


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One row a model, trained and untrained, and one for the pixels.

    Args:
        tables: The three tables of localisation.
        config: `networks`, `labels`, `families`, `architectures`.
    """
    return panels.draw_final_blocks(tables, config, shown_models(config))


def shown_models(config: dict[str, Any]) -> list[str]:
    """Each GAP ViT after its twins with a class token; after all CLS ViTs if none has it."""
    own, known = networks(config), architectures(config)
    pairs = roles.pooled_pairs(own, known)
    others = roles.of_kind(own, known, "vit", "cls")
    chosen: list[str] = []
    for model in roles.of_kind(own, known, "vit", "gap"):
        chosen += [*([cls for cls, gap in pairs if gap == model] or others), model]
    return list(dict.fromkeys(chosen)) or roles.of_kind(own, known, "vit")
