"""Claims C26 and C27 on made-up networks of fewer images."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from sightlines.claims.evidence import NotMeasured
from sightlines.claims.judge import claim_table
from sightlines.claims.verdict import judge
from tests.claims.making_evidence import (
    GROUPS,
    MEANS,
    VIT,
    check_words,
    claim,
    make_evidence,
    of,
    replicates,
    values,
    verdict,
    vit_layers,
)
from tests.rounding import rounded

LESS = [f"vit/{f}/s0" for f in ("f003", "f010", "f100", "f000")]
FALLING, LEVEL = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3]), np.full(6, 0.5)
TURNED = FALLING[::-1]
MAPS = "cka_replicates.safetensors"


def own_blocks(by_block, spread=0.0, seed="s0", fraction="f010", model="vit"):
    """CKA of blocks with themselves on all images: 0 between all other layers."""
    kinds = vit_layers()["kind"]
    blocks = np.flatnonzero(kinds == "residual")
    matrix = np.zeros((len(kinds), len(kinds)))
    matrix[blocks, blocks] = by_block
    found = replicates(matrix)
    found[1:, blocks, blocks] += spread * np.array([1, -1] * (GROUPS // 2))[:, None]
    return {f"{model}/{fraction}/{seed}|{model}/f100/s0": found}


def figure_12(trained, untrained, wide):
    maps = own_blocks(FALLING if trained else TURNED, 0.1 * wide, fraction="f003")
    maps |= own_blocks(FALLING + 0.05, fraction="f010")
    maps |= own_blocks(FALLING if untrained else TURNED, fraction="f000")
    return {MAPS: maps, "layers.csv": vit_layers()}


def test_c26(tmp_path):
    check_words(tmp_path, "C26", figure_12, slugs=LESS, models={"vit": VIT})


def c26(tmp_path, maps, slugs=LESS):
    tables = {MAPS: maps, "layers.csv": vit_layers()}
    return verdict("C26", make_evidence(tmp_path, tables, slugs, {"vit": VIT}))


def test_c26_is_of_the_weakest_fraction_and_the_smallest_rise(tmp_path):
    swapped = np.array([0.9, 0.8, 0.6, 0.7, 0.5, 0.4])
    maps = own_blocks(FALLING, fraction="f003") | own_blocks(swapped) | own_blocks(TURNED, 0, "s1")
    found = c26(tmp_path, maps, LESS[:3])
    rise = swapped.mean() - FALLING.mean()
    assert values(found) == rounded(
        [spearmanr(swapped, range(6)).statistic, rise], **MEANS, dtype=np.float32
    )
    assert found.word.startswith("holds") and "no untrained control" in found.because


def test_c26_takes_a_second_seed_on_all_images_as_the_last_fraction(tmp_path):
    slugs = ["vit/f010/s0", "vit/f100/s0", "vit/f100/s1"]
    higher, lower = (own_blocks(LEVEL + x, 0, "s1", "f100") for x in (0.3, -0.3))
    assert c26(tmp_path / "a", own_blocks(FALLING) | higher, slugs).word.startswith("holds")
    assert c26(tmp_path / "b", own_blocks(FALLING) | lower, slugs).word == "does not hold"
    alone = c26(tmp_path / "c", own_blocks(FALLING), slugs[:2])
    assert alone.word == "not run" and "second seed" in alone.because


def test_the_control_of_c26_is_untrained_whatever_a_second_seed_does(tmp_path):
    """The second seed falls by as much as can be, and is told beside the verdict."""
    swapped = np.array([0.9, 0.8, 0.6, 0.7, 0.5, 0.4])
    maps = own_blocks(swapped, fraction="f003") | own_blocks(swapped + 0.05)
    maps |= own_blocks(FALLING + 0.1, 0, "s1", "f100") | own_blocks(TURNED, fraction="f000")
    found = c26(tmp_path, maps, [*LESS, "vit/f100/s1"])
    falls, rises = found.lines
    assert (falls.control, rises.control) == (1.0, None)
    assert falls.difference[0] == rounded(falls.value - 1.0, **MEANS)
    assert found.because.endswith("all images has Spearman(block, CKA) −1 [−1, −1] over images")
    alone = c26(tmp_path / "alone", maps, LESS)
    assert "second seed of" not in alone.because
    bare = c26(tmp_path / "bare", maps, [*LESS[:3], "vit/f100/s1"])
    assert bare.lines[0].control is None and "no untrained control" in bare.because


def test_c26_asks_for_a_rise_from_the_fewest_images_to_the_most(tmp_path):
    """The paper's own smaller ViT falls a little from one fraction to the next."""
    slugs = [f"vit/{f}/s0" for f in ("f003", "f010", "f030", "f100")]
    steps = {"f003": FALLING, "f010": FALLING + 0.06, "f030": FALLING + 0.05}
    maps = {n: m for f, curve in steps.items() for n, m in own_blocks(curve, 0, "s0", f).items()}
    evidence = make_evidence(
        tmp_path, {MAPS: maps, "layers.csv": vit_layers()}, slugs, {"vit": VIT}
    )
    found = verdict("C26", evidence)
    assert found.word.startswith("holds")
    assert values(found)[1] == rounded(0.05, **MEANS, dtype=np.float32)
    row = claim_table([found], evidence).to_dict("records")[0]
    assert (row["amended"], row["verdict_before"]) == ("2026-11-29", "does not hold")


@pytest.mark.parametrize("fraction", ["f003", "f010"])
def test_a_fraction_that_is_undefined_leaves_c26_open(tmp_path, fraction):
    maps = {
        name: whole
        for f in ("f003", "f010")
        for name, whole in own_blocks(FALLING if f == "f003" else FALLING + 0.1, 0, "s0", f).items()
    }
    maps[f"vit/{fraction}/s0|vit/f100/s0"][:] = np.nan
    found = c26(tmp_path, maps, LESS[:3])
    assert found.word == "undecided" and "Spearman" in found.because


def test_blocks_that_are_all_alike_have_no_trend(tmp_path):
    found = c26(tmp_path, own_blocks(LEVEL, 0, "s0", "f003") | own_blocks(LEVEL), LESS[:3])
    assert found.word == "undecided" and np.isnan(found.lines[0].value)


def test_three_blocks_have_no_trend(tmp_path):
    blocks = [13, 19, 25]
    layers = vit_layers()
    layers.loc[(layers["kind"] == "residual") & ~layers["layer"].isin(blocks), "kind"] = "mlp"
    tables = figure_12(True, False, False) | {"layers.csv": layers}
    found = verdict("C26", make_evidence(tmp_path, tables, LESS, {"vit": VIT}))
    assert found.word == "not run" and "4 blocks" in found.because


def test_c26_reads_every_seed_that_has_fewer_images(tmp_path):
    slugs = [f"vit/{f}/{s}" for f in ("f003", "f010", "f100") for s in ("s0", "s1")]
    maps = own_blocks(FALLING, fraction="f003") | own_blocks(FALLING + 0.02)
    for fraction, curve in (("f003", TURNED), ("f010", TURNED)):
        own = own_blocks(curve)["vit/f010/s0|vit/f100/s0"]
        maps[f"vit/{fraction}/s1|vit/f100/s1"] = own
    maps |= {"vit/f100/s0|vit/f100/s1": own_blocks(LEVEL + 0.4)["vit/f010/s0|vit/f100/s0"]}
    line = c26(tmp_path, maps, slugs).lines[0]
    assert line.value == rounded(0.0, **MEANS) and line.seeds.startswith("1 of VIT")


def test_seeds_that_share_a_comparison_are_one_unit(tmp_path):
    """s0 and s1 rise to what both have in common: of two pairs there are two units."""
    seeds = ["s0", "s1", "s2", "s3"]
    slugs = [f"vit/{f}/{s}" for f in ("f003", "f010", "f100") for s in seeds]
    maps = {}
    for seed, (fraction, more) in product(seeds, (("f003", 0.0), ("f010", 0.02))):
        (own,) = own_blocks(FALLING + more).values()
        maps[f"vit/{fraction}/{seed}|vit/f100/{seed}"] = own
    for one, other, rise in (("s0", "s1", 0.1), ("s2", "s3", 0.3), ("s0", "s2", 0.9)):
        common = own_blocks(FALLING + rise)["vit/f010/s0|vit/f100/s0"]
        maps[f"vit/f100/{one}|vit/f100/{other}"] = common
    tables = {MAPS: maps, "layers.csv": vit_layers()}
    evidence = make_evidence(tmp_path, tables, slugs, {"vit": VIT})
    (case,) = claim("C26").cases(evidence)
    (source,) = case.sources
    assert [{slug[-2:] for slug in unit} for unit in source.units] == [{"s0", "s1"}, {"s2", "s3"}]
    assert [own[1].value for own in source.readings] == pytest.approx([0.1, 0.3], abs=1e-6)
    assert {"vit/f100/s1", "vit/f100/s3"} <= {*case.networks}
    three = make_evidence(tmp_path, tables, [s for s in slugs if "s3" not in s], {"vit": VIT})
    (case,) = claim("C26").cases(three)
    assert [source.readings for source in case.sources] == [None]


def test_second_seeds_of_c27_are_declared(tmp_path):
    slugs = [*SIZED[:2], *SECONDS, *SIZED[2:]]
    tables = with_ceiling(sizes(True, False, False))
    made = make_evidence(tmp_path, tables, slugs, SIZES, sizes=PARAMETERS)
    (case,) = claim("C27").cases(made)
    assert {*SECONDS} <= {*case.networks}
    units = {source.label: {*source.units[0]} for source in case.sources}
    assert "vit/f100/s1" in units["VIT"] and "large/f100/s1" in units["LARGE"]
    (before,) = claim("C27").former.cases(made)
    assert not {*SECONDS} & {*before.networks}


def opinions(by_fraction, index="rbf"):
    """Other similarities of the same blocks, which are all that such a pair has."""
    rows = [
        {f"{k}_a": v for k, v in of("vit/f100/s0").items()}
        | {f"{k}_b": v for k, v in of(slug).items()}
        | {"layer_a": 7 + 6 * block, "layer_b": 7 + 6 * block, "index": index, "value": value}
        for slug, curve in by_fraction.items()
        for block, value in enumerate(curve)
    ]
    return pd.DataFrame(rows)


def test_c26_under_another_index(tmp_path):
    def stands(first, second, index="rbf"):
        table = opinions(dict(zip(LESS, (first, second), strict=False)))
        tables = {"similarity_indices.parquet": table, "layers.csv": vit_layers()}
        evidence = make_evidence(tmp_path, tables, LESS, {"vit": VIT})
        return claim("C26").robustness_check(evidence, index)

    assert stands(FALLING, FALLING + 0.1)
    assert not stands(FALLING, TURNED + 0.1)
    assert not stands(FALLING, FALLING - 0.1)
    with pytest.raises(NotMeasured):
        stands(FALLING, FALLING * np.nan)
    with pytest.raises(NotMeasured):
        stands(FALLING, FALLING, "procrustes")


SIZES = {"vit": VIT, "large": VIT | {"width": 48}}
SIZED = [f"{m}/{f}/s0" for f in ("f100", "f010", "f000") for m in SIZES]
PARAMETERS = {"vit": 1000, "large": 2000}
SMALL, LARGE = np.array([0.9, 0.9, 0.9, 0.7, 0.7, 0.6]), np.array([0.9, 0.9, 0.9, 0.3, 0.2, 0.2])


def sizes(trained, untrained, wide):
    maps = {}
    for fraction, is_shown in (("f010", trained), ("f000", untrained)):
        first, second = (SMALL, LARGE) if is_shown else (LARGE, SMALL)
        spread = 0.2 * (wide and fraction == "f010")
        maps |= own_blocks(first, spread, "s0", fraction)
        maps |= own_blocks(second, 0, "s0", fraction, "large")
    return {MAPS: maps, "layers.csv": pd.concat([vit_layers(), vit_layers(model="large")])}


@pytest.mark.whole  # every word, of nine experiments
def test_c27(tmp_path):
    check_words(tmp_path, "C27", sizes, slugs=SIZED, models=SIZES, sizes=PARAMETERS)


def test_c27_is_the_difference_over_the_upper_halves(tmp_path):
    tables = sizes(True, False, False)
    found = verdict("C27", make_evidence(tmp_path, tables, SIZED, SIZES, sizes=PARAMETERS))
    assert values(found) == rounded([2 / 3 - 0.7 / 3], **MEANS, dtype=np.float32)
    assert found.lines[0].control == rounded(0.7 / 3 - 2 / 3, **MEANS, dtype=np.float32)


def test_a_block_that_is_undefined_leaves_c27_open(tmp_path):
    tables = sizes(True, False, False)
    tables[MAPS]["large/f010/s0|large/f100/s0"][:, 31, 31] = np.nan
    evidence = make_evidence(tmp_path, tables, SIZED, SIZES, sizes=PARAMETERS)
    assert verdict("C27", evidence).word == "undecided"


def test_c27_judges_each_fraction_that_both_sizes_have(tmp_path):
    slugs = [*SIZED, "vit/f030/s0", "large/f030/s0", "large/f003/s0"]
    tables = sizes(True, False, False)
    tables[MAPS] |= own_blocks(LARGE, 0, "s0", "f030") | own_blocks(SMALL, 0, "s0", "f030", "large")
    found = verdict("C27", make_evidence(tmp_path, tables, slugs, SIZES, sizes=PARAMETERS))
    cases = ["VIT × LARGE, f010", "VIT × LARGE, f030"]
    assert [line.case for line in found.lines] == [*cases, "mean of 2"]
    assert "fails for VIT × LARGE, f030" in found.because


@pytest.mark.parametrize(
    ("slugs", "why"),
    [
        (SIZED[:3], "two sizes"),
        ([*SIZED[:3], "large/f030/s0"], "no smaller fraction in common"),
        (SIZED[:2], "on a smaller fraction"),
    ],
)
def test_c27_not_run(tmp_path, slugs, why):
    tables = sizes(True, False, False)
    found = verdict("C27", make_evidence(tmp_path, tables, slugs, SIZES, sizes=PARAMETERS))
    assert found.word == "not run" and why in found.because


SECONDS = ["vit/f100/s1", "large/f100/s1"]
CEILING = {"vit": np.full(6, 0.8), "large": np.full(6, 0.25)}
"""Two seeds of the large ViT agree little though both have all images."""


def with_ceiling(tables):
    """A second seed of either size, of which the large one is as far away as with fewer images."""
    for model, curve in CEILING.items():
        tables[MAPS] |= own_blocks(curve, 0, "s1", "f100", model)
    return tables


def c27(folder, tables, slugs=SIZED):
    evidence = make_evidence(folder, tables, slugs, SIZES, sizes=PARAMETERS)
    return verdict("C27", evidence), judge(claim("C27").former, evidence)


def test_c27_is_held_against_second_seeds_on_all_images(tmp_path):
    """What two seeds differ by anyway is no lack of data."""
    slugs = [*SIZED[:2], *SECONDS, *SIZED[2:]]
    found, before = c27(tmp_path, with_ceiling(sizes(True, False, False)), slugs)
    lead = 2 / 3 - 0.7 / 3
    assert values(found) == rounded([lead - (0.8 - 0.25)], **MEANS, dtype=np.float32)
    assert values(before) == rounded([lead], **MEANS, dtype=np.float32)
    assert before.word != "does not hold" and lead < 0.55
    assert "second seed" not in found.because


def test_c27_says_where_there_is_no_ceiling(tmp_path):
    slugs = [*SIZED[:2], SECONDS[0], *SIZED[2:]]
    found, before = c27(tmp_path, with_ceiling(sizes(True, False, False)), slugs)
    assert values(found) == values(before)
    assert "a second seed of LARGE on all images, as the ceiling" in found.because
    assert "ceiling" not in before.because
    both, _ = c27(tmp_path / "none", sizes(True, False, False))
    assert "a second seed of VIT and LARGE on all images" in both.because


def test_c27_under_another_index_has_the_same_ceiling(tmp_path):
    slugs = [*SIZED[:2], *SECONDS, *SIZED[2:]]
    curves = {"f010": (SMALL, LARGE), "f100": tuple(CEILING.values())}
    frames = []
    for fraction, pair in curves.items():
        for model, curve in zip(SIZES, pair, strict=True):
            seed = "s1" if fraction == "f100" else "s0"
            frame = opinions({f"{model}/{fraction}/{seed}": curve})
            frames.append(frame.assign(model_a=model))
    table = pd.concat(frames)
    for folder, own, stands in (("all", slugs, False), ("none", SIZED, True)):
        tables = {"similarity_indices.parquet": table}
        evidence = make_evidence(tmp_path / folder, tables, own, SIZES, sizes=PARAMETERS)
        assert claim("C27").robustness_check(evidence, "rbf") == stands
