"""Figures H.1 and H.2: an MLP-Mixer's layers, alone and beside a ViT's and a ResNet's."""

from typing import Any

from matplotlib.figure import Figure

from sightlines.figures.cross_maps import draw_pairs
from sightlines.figures.style import styled
from sightlines.results.selecting import Tables, main_models, plain_models, require_some

TITLE = "Similarity of layers of an MLP-Mixer"
PAPER = "Figures H.1 and H.2"
QUESTION = "structure"
CAPTION = (
    "Linear CKA within the Mixer (first row), and between its layers (upwards) and those of other "
    "networks (to the right); the line gives each layer on the x axis a layer of the Mixer, never "
    "lower than for the layer before it, so that their mean CKA is largest. Look for: a small "
    "lower and a large upper part within the Mixer, and more similarity with ViTs than with "
    "ResNets. Compare with the untrained pair beside it. One even map within the Mixer, or more "
    "similarity with ResNets, would contradict the paper."
)
EXPLAINS = (
    "Is what is special about a ViT its attention, or its tokens? The Mixer has tokens and skip "
    "connections but mixes patches by an MLP; its layers are compared with each other and with "
    "those of a ViT and a ResNet by CKA. Brighter maps with the ViT than with the ResNet say that "
    "the Mixer behaves like a ViT."
)
DIFFERS = (
    "The paper has four sizes of Mixer at ImageNet scale; ours is the config's, with the recipe of "
    "all other networks."
)
READS = ("cka.parquet", "layers.csv")
NEEDS = ("mixer",)


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Each Mixer with itself, then with every model of the main figures.

    Args:
        tables: ``cka.parquet`` and ``layers.csv``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: no Mixer is trained on all images.
    """
    mixers = [m for m in plain_models(config) if config["families"][m] == "mixer"]
    require_some(mixers, "there is no Mixer among the networks trained on all images")
    others = [m for m in main_models(config) if m not in mixers]
    return draw_pairs(tables, config, [(a, b) for a in mixers for b in (a, *others)])
