"""Figure 2: which layers of a ViT and of a ResNet resemble each other."""

from typing import Any

from matplotlib.figure import Figure

from sightlines.figures.cross_maps import draw_pairs
from sightlines.figures.style import styled
from sightlines.results.selecting import Tables, pairs_across, require_some

TITLE = "Similarity of layers across networks"
PAPER = "Figures 2 and B.1"
QUESTION = "structure"
CAPTION = (
    "Linear CKA between the layers of two networks (one or two pairs a row; ViT upwards, ResNet "
    "to the right; last an FNet with a ViT and with a ResNet, where there is one). The line gives "
    "each layer on the x axis a layer on the y axis, never lower than for the layer before it, so "
    "that their mean CKA is largest (without embeddings; as claim C4 reads it). Look for: a line "
    "that stays well below the diagonal, that is, many lower ResNet layers doing the work of few "
    "lower ViT layers, and for top ViT layers that resemble no ResNet layer. Compare with the "
    "untrained pair beside it. A line on the diagonal, or the same line in the untrained pair, "
    "would contradict the paper's reading."
)
READS = ("cka.parquet", "layers.csv")
NEEDS = ("trained", "two_families")
EXPLAINS = (
    "Which layers of a ViT do the work of which layers of a ResNet? Every layer of one network is "
    "compared with every layer of the other by CKA on the same images. The line matches each "
    "ResNet layer with a ViT layer, in order: where it lies below the diagonal, the ViT gets there "
    "in fewer layers."
)
DIFFERS = (
    "The line of best matches and the untrained pair are ours; the paper describes them in words. "
    "The FNet is ours too."
)


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One row a pair of models of two families; those with the FNet come last.

    Args:
        tables: ``cka.parquet`` and ``layers.csv``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: the experiment has no pair of trained models to compare.
    """
    pairs = pairs_across(config)
    require_some(pairs, "there is no pair of networks to compare, of two families")
    return draw_pairs(tables, config, pairs)
