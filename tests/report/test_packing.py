import base64

import numpy as np
import pytest

from sightlines.report.explore import packing
from sightlines.report.explore.packing import ALL, BLOCKS, NOTHING, Numbers, Wish, choose


def unpacked(text):
    return np.frombuffer(base64.b64decode(text), "<u2").astype(float) * packing.STEP


def test_values_come_back_to_four_decimals():
    values = np.array([[0.0, 1.0, -0.12344], [0.99996, 0.00004, 0.5]])
    numbers = Numbers()
    assert numbers.add(values) == 0
    assert numbers.add(values[0]) == 6
    found = unpacked(numbers.text()) + packing.LOWEST
    expected = [0, 1, -0.1234, 1, 0, 0.5, 0, 1, -0.1234]
    assert [f"{v:.4f}" for v in found] == [f"{v:.4f}" for v in expected]


def test_what_does_not_exist_is_kept_apart_from_what_is_out_of_scale():
    found = packing.packed(np.array([np.nan, np.inf, 99.0, -99.0]))
    assert found.tolist() == [packing.UNDEFINED, packing.UNDEFINED, packing.UNDEFINED - 1, 0]


def test_numbers_fill_their_room_and_no_more():
    values = np.zeros(packing.room(1000))
    numbers = Numbers()
    numbers.add(values)
    assert 990 < len(numbers.text()) <= 1000


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (1000, [(ALL, True), (ALL, True)]),
        (350, [(ALL, True), (ALL, False)]),
        (220, [(ALL, False), (ALL, False)]),
        (150, [(ALL, False), (BLOCKS, True)]),
        (40, [(BLOCKS, True), (BLOCKS, True)]),
        (30, [(BLOCKS, True), (NOTHING, False)]),
        (10, [(NOTHING, False), (NOTHING, False)]),
    ],
)
def test_what_matters_most_is_on_the_page_first(limit, expected):
    """Two maps of 100 cells, 10 of them of block outputs."""
    assert choose([Wish(100, 10)] * 2, limit) == expected


def test_what_is_chosen_fits():
    rng = np.random.default_rng(0)
    for _ in range(50):
        wishes = [Wish(int(c), int(c) // 9) for c in rng.integers(9, 500, 20)]
        limit = int(rng.integers(0, 9000))
        spent = 0
        for wish, (which, with_errors) in zip(wishes, choose(wishes, limit), strict=True):
            cells = {ALL: wish.cells, BLOCKS: wish.block_cells, NOTHING: 0}[which]
            spent += cells * (1 + with_errors)
        assert spent <= limit
