import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.plan.networks import Network
from sightlines.results import selecting
from tests.figures import tables as synthetic

CONFIG = synthetic.config(fractions=("f010", "f100"))


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (range(12), ([0, 1], [10, 11])),
        (range(3), ([0, 1], [2])),
        (range(2), ([0], [1])),
        ([0], ([0], [])),
    ],
)
def test_extreme_blocks_are_disjoint(blocks, expected):
    assert selecting.extreme_blocks(list(blocks)) == expected


def test_full_and_untrained_networks():
    config = {"networks": ["m/f000/s1", "m/f030/s0", "m/f100/s1", "m/f100/s0", "m/f000/s0"]}
    assert selecting.full_network(config, "m") == Network("m", "f100", "s1")
    assert selecting.untrained_network(config, "m") == Network("m", "f000", "s1")
    assert selecting.untrained_network({"networks": ["m/f100/s0"]}, "m") is None
    assert selecting.full_network({"networks": ["m/f000/s0"]}, "m") is None


def test_a_pair_stored_the_other_way_round_is_transposed():
    layers = synthetic.layers(CONFIG)
    table = synthetic.cka(CONFIG, layers)
    a, b = Network("vit_small", "f100", "s0"), Network("resnet_thin", "f100", "s0")
    forward = selecting.cka_matrix(table, layers, a, b)
    backward = selecting.cka_matrix(table, layers, b, a)
    assert forward.shape != forward.T.shape
    np.testing.assert_array_equal(forward, backward.T)
    assert selecting.cka_matrix(table, layers, a, Network("resnet_thin", "f030", "s0")) is None


def test_a_layer_table_with_gaps_is_refused():
    layers = synthetic.layers(CONFIG).drop(index=3)
    with pytest.raises(ResultError, match="does not list the layers of vit_small"):
        selecting.layer_rows(layers, "vit_small")
    with pytest.raises(ResultError, match="layers of unknown"):
        selecting.layer_rows(layers, "unknown")
