"""Figures H.1 and H.2: an MLP-Mixer's layers, alone and beside those of other networks."""

from typing import Any

from matplotlib.figure import Figure

from sightlines.figures.cross_maps import draw_pairs
from sightlines.figures.style import styled
from sightlines.results.selecting import Tables, mixer_pairs, require_some

TITLE = "Similarity of layers of an MLP-Mixer"
PAPER = "Figures H.1 and H.2"
QUESTION = "structure"
CAPTION = (
    "Linear CKA within the Mixer (first row), and between its layers (upwards) and those of other "
    "networks (to the right; last an FNet, where there is one). The line gives each layer on the x "
    "axis a layer of the Mixer, never lower than for the layer before it, so that their mean CKA "
    "is largest. Look for: a small lower and a large upper part within the Mixer, and more "
    "similarity with ViTs than with ResNets. Compare with the untrained pair beside it. One even "
    "map within the Mixer, or more similarity with ResNets, would contradict the paper."
)
EXPLAINS = (
    "Is what is special about a ViT its attention, or its tokens? The Mixer has tokens and skip "
    "connections but mixes patches by an MLP; its layers are compared with each other and with "
    "those of a ViT and a ResNet by CKA. Brighter maps with the ViT than with the ResNet say that "
    "the Mixer behaves like a ViT."
)
DIFFERS = (
    "The paper has four sizes of Mixer at ImageNet scale; ours is the config's, with the recipe of "
    "all other networks. The FNet is ours."
)
READS = ("cka.parquet", "layers.csv")
NEEDS = ("mixer",)


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Each Mixer with itself, with every model of the main figures, and with the FNet.

    Args:
        tables: ``cka.parquet`` and ``layers.csv``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: no Mixer is trained on all images.
    """
    pairs = mixer_pairs(config)
    require_some(pairs, "there is no Mixer among the networks trained on all images")
    return draw_pairs(tables, config, pairs)
