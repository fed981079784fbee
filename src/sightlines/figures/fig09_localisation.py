"""Figure 9: which patches of the image a token of the last block is about."""

from typing import Any

from matplotlib.figure import Figure

from sightlines.figures import localisation_panels as panels
from sightlines.figures.style import styled
from sightlines.results.selecting import Tables, plain_models, settings

TITLE = "Spatial localisation of tokens"
PAPER = "Figure 9"
QUESTION = "places"
CAPTION = (
    "Linear CKA (no unit) of one token of the final block with the pixels of every patch of the "
    "image; rows and columns of patches, origin at the lower left, colours from 0 to the largest "
    "value of a network. For a ResNet a token is a position of the last map. The outlined patch is "
    "the token's own; z is how many standard deviations it stands above the mean of all patches, "
    "rank 1 says that no patch is more similar; d, a mean over all interior tokens, is how far own "
    "patches stand above the others in standard deviations of these, which unlike z does not "
    "depend on the number of patches. The last row compares the patch's own pixels with those of "
    "all patches: what any copy of the input would show. Look for: single bright own patches in "
    "ViTs with a class token, and maps of a ResNet that are alike for all tokens. An untrained "
    "network that is as localised says that training kept what the architecture gave."
)
EXPLAINS = (
    "After many blocks of mixing, does a token still describe its own place in the image?",
    "Each token's features over the reference images are compared, by CKA, with the raw pixels of "
    "every patch, which gives one map of the image a token.",
    "A single bright square at the outlined patch means that the token kept its place; the same "
    "map for all tokens means that it did not.",
)
DIFFERS = (
    "The paper shows four tokens of each network and no control; z and rank here are also averaged "
    "over all interior tokens, beside the untrained network and the similarity of the pixels."
)
READS = ("localisation.parquet", "localisation_tokens.parquet", "localisation_maps.parquet")
NEEDS = ("trained",)


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One row a model, trained and untrained, and one for the pixels.

    Args:
        tables: The three tables of localisation.
        config: `networks`, `labels`, `families`, `architectures`.
    """
    return panels.draw_final_blocks(tables, config, shown_models(config))


def shown_models(config: dict[str, Any]) -> list[str]:
    """All models but Mixers and pooled ViTs, which have figures of their own; all if none is left.

    Models that are neither ViT nor ResNet, such as a Swin, are shown here alone.
    """
    models = plain_models(config)
    wanted = [
        m
        for m in models
        if config["families"][m] != "mixer" and settings(config, m).get("pool") != "gap"
    ]
    return wanted or models
