"""Attention distance before and after fine-tuning against means written out in float64."""

import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.plan.networks import Network
from sightlines.results.tables import required
from tests.measures.making_dumps import write_attention
from tests.measures.running import run_measure
from tests.rounding import assert_rounded

NAMES = ("distance_px", "distance_renormalised_px", "prefix_mass", "entropy_nats")
SIZES = [7, 3, 5]
TASKS = {"near": "in", "far": "out"}
VIT, OTHER = "vit/f100/s0", "vit_large/f100/s0"


def write_dump(path, seed, slug, sizes=SIZES):
    rng = np.random.Generator(np.random.Philox(seed))
    values = {n: [rng.uniform(1, 9, (s, 2, 3)).astype(np.float32) for s in sizes] for n in NAMES}
    write_attention(path, values, Network.parse(slug), uniform_px=11.0)
    return [x.astype(np.float64) for x in values["distance_px"]]


def run_main(tmp_path, after, sizes=SIZES):
    """The table, and distances by (task or "", slug); `after` is a list of (task, slug)."""
    paths, tuned, shown = [], [], {}
    for seed, slug in enumerate((OTHER, VIT)):
        paths.append(tmp_path / "dumps" / f"{slug}.safetensors")
        shown["", slug] = write_dump(paths[-1], seed, slug)
    for seed, (task, slug) in enumerate(after, 10):
        tuned.append(tmp_path / "transfer" / task / "tuned_attention" / f"{slug}.safetensors")
        shown[task, slug] = write_dump(tuned[-1], seed, slug, sizes)
    inputs = {"attention": paths, "tuned_attention": tuned}
    found = run_measure("tuned_attention", inputs, tmp_path, [OTHER, VIT], tasks=TASKS)
    return found["tuned_attention"], shown


def test_each_tuned_network_stands_beside_its_own_start(tmp_path):
    after = [("near", VIT), ("far", OTHER), ("far", VIT)]
    table, shown = run_main(tmp_path, after)
    assert list(table.columns) == list(required("tuned_attention.parquet"))
    assert len(table) == 3 * 4 * 2 * 3 and (table["uniform_px"] == 11).all()
    for task, slug in after:
        own = table[(table["task"] == task) & (table["model"] == Network.parse(slug).model)]
        assert own["domain"].unique().tolist() == [TASKS[task]]
        for left_out in (-1, 0, 1, 2):
            one = own[own["left_out"] == left_out]
            for column, place in (("before", ("", slug)), ("after", (task, slug))):
                kept = [x for b, x in enumerate(shown[place]) if b != left_out]
                expected = np.concatenate(kept).mean(axis=0) / 11
                found = one.pivot(index="block", columns="head", values=column)
                assert_rounded(found, expected, terms=sum(SIZES))


def test_networks_that_were_shown_other_images_are_not_compared(tmp_path):
    with pytest.raises(ResultError, match="different reference images or minibatches"):
        run_main(tmp_path, [("near", VIT)], sizes=[7, 3, 4])
