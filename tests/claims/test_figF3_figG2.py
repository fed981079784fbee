"""Claims C30b and C33 on made-up probes and maps."""

import numpy as np
import pandas as pd
import pytest

from sightlines.claims.figG2_across_sizes import off_depth
from tests.claims.making_evidence import (
    GAP,
    MEANS,
    VIT,
    make_evidence,
    replicates,
    values,
    verdict,
    vit_layers,
)
from tests.claims.test_fig11_to_fig13 import probes
from tests.rounding import rounded

PAIR = ["vit/f100/s0", "gap/f100/s0", "vit/f000/s0", "gap/f000/s0"]
POOLS = {"vit": VIT, "gap": GAP}
ENDS = {("vit", "cls"): 0.6, ("vit", "all"): 0.5, ("gap", "mean"): 0.61, ("gap", "first"): 0.6}
HALF = {("gap", "mean"): 0.5, ("gap", "first"): 0.3}


def pooled(task, ends=ENDS, slugs=PAIR[:2]):
    parts = []
    for slug in slugs:
        for (model, pool), end in ends.items():
            if slug.startswith(model):
                curve = [0.2, HALF.get((model, pool), 0.4), end]
                parts.append(probes(slug, curve, pool, dataset=task))
    return pd.concat(parts)


def judged(folder, *tables, tasks=("toys",), slugs=PAIR):
    evidence = make_evidence(folder, {"probe_replicates.parquet": pd.concat(tables)}, slugs, POOLS)
    evidence.config["tasks"] = dict.fromkeys(tasks, "in")
    return verdict("C30b", evidence)


def test_c30b_has_the_statistics_of_c24_and_c25_on_every_task(tmp_path):
    other = ENDS | {("vit", "cls"): 0.4}
    found = judged(tmp_path, pooled("toys"), pooled("cars", other), tasks=("toys", "cars"))
    cases = ["VIT × GAP on toys", "VIT × GAP on cars", "mean of 2"]
    assert [line.case for line in found.lines[::5]] == cases
    assert values(found) == rounded([-0.01, -0.01, 0.01, 0.2, 0.1], **MEANS)
    assert [line.outcome for line in found.lines[:5]] == ["holds"] * 5
    assert found.word == "depends on the architecture"
    assert "fails for VIT × GAP on cars (CLS;CLS − GAP;GAP" in found.because


def test_c30b_has_no_control_of_parity(tmp_path):
    chance = {key: 0.1 for key in ENDS}
    found = judged(tmp_path, pooled("toys"), pooled("toys", chance, PAIR[2:]))
    assert [line.control for line in found.lines[:2]] == [None, None]
    expected = [0.0, HALF["gap", "mean"] - HALF["gap", "first"], 0.0]
    assert [line.control for line in found.lines[2:]] == rounded(expected, **MEANS)


def test_c30b_needs_tasks_and_probes_on_them(tmp_path):
    assert judged(tmp_path, pooled("toys"), tasks=()).word == "not run"
    found = judged(tmp_path, pooled("toys"), tasks=("cars",))
    assert found.word == "not run" and "cars" in found.because


SIZES = {"small": VIT, "large": VIT | {"depth": 8}}
SLUGS = ["small/f100/s0", "large/f100/s0", "small/f000/s0", "large/f000/s0"]
LAYERS = [vit_layers(6, "small"), vit_layers(8, "large")]


def along(power=1.0, spread=0.0):
    """Maps whose brightest layers of the smaller ViT lie at depth ** power of the larger one's."""
    rows, columns = (own["depth"].to_numpy() for own in LAYERS)
    off = rows[:, None] - columns**power
    return replicates(np.exp(-((off / 0.1) ** 2)), spread)


def across(folder, trained, models=SIZES, **more):
    maps = {f"{SLUGS[0]}|{SLUGS[1]}": trained}
    maps |= {f"{SLUGS[2]}|{SLUGS[3]}": along()}
    tables = {"cka_replicates.safetensors": maps, "layers.csv": pd.concat(LAYERS)}
    sizes = {"small": 10, "large": 20}
    return verdict("C33", make_evidence(folder, tables, SLUGS, models, sizes=sizes, **more))


def test_c33_is_how_far_the_best_path_is_from_equal_depth(tmp_path):
    found = across(tmp_path, along())
    small, large = (own["depth"].to_numpy() for own in LAYERS)
    nearest = np.abs(small[:, None] - large).min(axis=0).mean()
    assert values(found)[0] == rounded(nearest, **MEANS)
    assert values(found)[1] > 0.05 and {line.outcome for line in found.lines} == {"holds"}
    assert found.lines[0].control == rounded(nearest, **MEANS)


def test_c33_fails_where_all_layers_match_low_ones(tmp_path):
    found = across(tmp_path, along(power=6.0))
    assert found.lines[0].outcome == "fails" and found.lines[1].outcome == "holds"


def test_layers_without_a_match_are_left_out():
    maps = along()[:1]
    maps[:, :, 3] = np.nan
    kept = np.delete(np.arange(maps.shape[2]), 3)
    small, large = (own["depth"].to_numpy() for own in LAYERS)
    expected = np.abs(small[:, None] - large[kept]).min(axis=0).mean()
    assert off_depth(maps) == rounded([expected], **MEANS)


@pytest.mark.parametrize("models", [{"small": VIT, "large": VIT}, {"small": VIT, "large": GAP}])
def test_c33_needs_two_sizes(tmp_path, models):
    found = across(tmp_path, along(), models)
    assert found.word == "not run" and "of two sizes" in found.because
