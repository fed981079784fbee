"""Figure G.2: which layers of networks of one family but different size resemble each other."""

import itertools
from typing import Any

from matplotlib.figure import Figure

from sightlines.figures.cross_maps import draw_pairs
from sightlines.figures.style import styled
from sightlines.plan.architectures import size_of
from sightlines.results.selecting import Tables, main_models, require_some, settings

TITLE = "Similarity of layers across sizes"
PAPER = "Figure G.2"
QUESTION = "structure"
CAPTION = (
    "Linear CKA between the layers of two networks of one family and different size (one or two "
    "pairs a row). The line gives each layer on the x axis a layer on the y axis, never lower "
    "than for the layer before it, so that their mean CKA is largest. Look for: a line along the "
    "diagonal, that is, layers that match by relative depth. Compare with the untrained pair "
    "beside it. A line that stays at one depth, or the same line in the untrained pair, would "
    "contradict the paper's reading."
)
EXPLAINS = (
    "Do a small and a large network of one family pass through the same representations? Every "
    "layer of one is compared with every layer of the other by CKA on the same images. A line of "
    "best matches along the diagonal means that layers correspond by relative depth."
)
DIFFERS = "The paper takes four layers a block here; we take all sub-layers, as in Figure 2."
READS = ("cka.parquet", "layers.csv")
NEEDS = ("trained", "two_sizes")


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One row a pair of models of one family, the one that comes later in the config upwards.

    Args:
        tables: ``cka.parquet`` and ``layers.csv``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: no family has two models.
    """
    models, families = main_models(config), config["families"]
    pairs = [
        (b, a)
        for family in dict.fromkeys(families[m] for m in models)
        for a, b in itertools.combinations([m for m in models if families[m] == family], 2)
        if size_of(settings(config, a)) != size_of(settings(config, b))
    ]
    require_some(pairs, "there are no two sizes of one family to compare")
    return draw_pairs(tables, config, pairs)
