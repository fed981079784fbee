"""FNet: accuracy, places in stream and branches, and the mirror's excess."""

import numpy as np

from sightlines.figures import figfnet_mixing
from tests.figures import tables as synthetic

FNETS = ("fnet", "fnet_hartley", "fnet_hybrid")
CONFIG = synthetic.config(fnets=FNETS, mixers=("mixer",))
TABLES = synthetic.all_tables(CONFIG, names=figfnet_mixing.READS)
MIRROR = 2


def drawn(config=CONFIG):
    axes = figfnet_mixing.draw(TABLES, config).axes[MIRROR]
    assert axes.get_title() == "mirror"
    return {line.get_label(): line for line in axes.lines}


def test_the_mirrors_excess_is_that_of_the_table_trained_and_untrained():
    lines, table = drawn(), TABLES["branch_places.parquet"]
    for name, fraction in (("fnet", "f100"), ("fnet, untrained", "f000")):
        own = table[(table.model == "fnet") & (table.fraction == fraction)]
        own = own[own.left_out == -1].sort_values("block")
        np.testing.assert_array_equal(lines[name].get_ydata(), own.mirror_excess)
        np.testing.assert_array_equal(lines[name].get_xdata(), own.block)
    assert not any("hybrid" in name for name in lines), "whose mixing is not of every block"


def test_the_legend_names_lines_that_are_there():
    """Of Hartley's there is no untrained twin among the runs."""
    slugs = [slug for slug in CONFIG["networks"] if not slug.startswith("fnet_hartley/f000")]
    config = CONFIG | {"networks": slugs}
    axes = figfnet_mixing.draw(TABLES, config).axes[MIRROR]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["fnet, untrained", "fnet", "fnet hartley"]
