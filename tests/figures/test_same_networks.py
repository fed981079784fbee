"""Figure and verdict, dump and table are of the same untrained control."""

from matplotlib.figure import Figure

from sightlines.claims.evidence import Evidence
from sightlines.figures import fig01_cka_within, figE1_skip_tokens
from sightlines.plan import roles
from sightlines.plan.networks import Network
from sightlines.results import selecting
from tests.figures import tables as synthetic

CONTROL, OTHER = Network("vit_small", "f000", "s0"), Network("vit_small", "f000", "s1")


def of_order(*seeds):
    """An experiment of one ViT whose untrained networks come in this order of seeds."""
    own = synthetic.config(("vit_small",), (), ("f000", "f100"), ("s0", "s1"))
    return own | {
        "networks": [
            *(f"vit_small/f000/{seed}" for seed in seeds),
            *(f"vit_small/f100/{seed}" for seed in ("s0", "s1")),
        ]
    }


def test_figure_verdict_and_dumps_take_the_control_of_the_full_networks_seed():
    """Once the verdict and the dumps took s1, the first, and the figure s0, which had no dump."""
    config = of_order("s1", "s0")
    evidence = Evidence(config, {})
    assert selecting.untrained_network(config, "vit_small") == CONTROL
    assert evidence.untrained("vit_small") == CONTROL
    for word in ("first_seed", "main"):
        dumped = roles.chosen(word, evidence.networks, config["architectures"])
        assert CONTROL in dumped and OTHER in dumped
    assert evidence.controls("vit_small") == [CONTROL, OTHER]
    assert selecting.controls(config, "vit_small") == [CONTROL, OTHER]
    assert roles.further_controls(evidence.networks) == [OTHER], "it is shown no labelled images"


def drawn(module, config, tables):
    figure = module.draw(tables, config)
    assert isinstance(figure, Figure)
    return [axes.images[0].get_array().filled(-1).tolist() for axes in figure.axes if axes.images]


def test_what_is_drawn_does_not_depend_on_the_order_of_the_runs():
    one, other = of_order("s0", "s1"), of_order("s1", "s0")
    for module in (fig01_cka_within, figE1_skip_tokens):
        tables = synthetic.all_tables(one, names=module.READS)
        assert drawn(module, one, tables) == drawn(module, other, tables)
