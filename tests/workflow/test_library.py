"""A notebook's numbers are those of the run."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import sightlines as sl
from sightlines.core.threads import one_thread

pytestmark = pytest.mark.workflow


def test_a_notebook_finds_what_the_run_has_found(smoke):
    run = sl.open_results(smoke / "results/smoke")
    pair = ("vit_small/f100/s0", "resnet/f100/s0")
    images = run.images(smoke / "data")
    own = [sl.grams(run.network(name), images) for name in pair]
    for grams, name in zip(own, pair, strict=True):
        kept = run.grams(name).dump
        assert kept.path.read_bytes() == grams.dump.path.read_bytes()
    with one_thread():
        similarity = sl.cka(*own)
    table = run.table("cka")
    for side, name in zip("ab", pair, strict=True):
        model, fraction, seed = name.split("/")
        table = table[
            (table[f"model_{side}"] == model)
            & (table[f"fraction_{side}"] == fraction)
            & (table[f"seed_{side}"] == seed)
        ]
    np.testing.assert_allclose(similarity.to_pandas()["cka"], table["cka"], rtol=0, atol=1e-12)
    distances = sl.attention_distance(run.network(pair[0]), images)
    known = run.table("attention_distance")
    known = known[known[["model", "fraction", "seed"]].agg("/".join, axis=1) == pair[0]]
    written = 1e-8  # a CSV has nine digits
    np.testing.assert_allclose(distances["distance_px"], known["distance_px"], rtol=written)
    assert set(run.verdicts.columns) >= {"verdict", "because"}


def test_the_example_reads_the_runs_results(smoke, capsys):
    example = Path(__file__).parents[2] / "docs" / "examples" / "reading_results.py"
    runpy.run_path(str(example))["main"](str(smoke / "results/smoke"))
    said = capsys.readouterr().out
    assert "uniform attention" in said and "vit_small/f100/s1" in said
