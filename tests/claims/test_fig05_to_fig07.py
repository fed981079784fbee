"""Claims C11 to C16b on made-up subsets of heads, receptive fields and skip connections."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from sightlines.claims import fig05_head_subsets as fig05
from sightlines.claims.evidence import NotMeasured
from sightlines.claims.verdict import judge
from tests.claims.making_evidence import (
    MEANS,
    RESNET,
    SLUGS,
    TRAINED,
    VIT,
    check_words,
    claim,
    make_evidence,
    of,
    replicates,
    values,
    verdict,
    with_replicates,
)
from tests.rounding import rounded

FALLING, RISING = [0.6, 0.55, 0.5, 0.45, 0.4], [0.4, 0.45, 0.5, 0.55, 0.6]


def subsets(slug, cka, ranks=(0, 1, 3, 4), kind="window", spread=0.0, other="resnet/f100/s0"):
    """Windows of heads from local to global, whose CKA with every unit is the same."""
    rows = [
        of(slug)
        | {f"other_{k}": v for k, v in of(other).items()}
        | {"unit": f"u{rank}", "unit_rank": rank, "subset_kind": kind, "subset": i, "cka": value}
        | {"relative": 0.3 + 0.1 * i}
        for rank in ranks
        for i, value in enumerate(cka[rank] if isinstance(cka, dict) else cka)
    ]
    return with_replicates(rows, "cka", spread)


def figure_5(trained, untrained, wide):
    own = subsets("vit/f100/s0", FALLING if trained else RISING)
    if wide:
        turned = own["left_out"] % 2 == 0
        own.loc[turned, "cka"] = 1 - own.loc[turned, "cka"]
    bare = subsets("vit/f000/s0", FALLING if untrained else RISING)
    return {"head_subsets.parquet": pd.concat([own, bare])}


@pytest.mark.whole  # every word, of nine experiments
def test_c11(tmp_path):
    check_words(tmp_path, "C11", figure_5)


def test_c11_is_of_the_mean_of_the_units_that_are_named(tmp_path):
    cka = {0: RISING, 1: FALLING, 2: [0.6, 0.1, 0.55, 0.9, 0.51], 3: FALLING, 4: RISING}
    tables = {"head_subsets.parquet": subsets(TRAINED[0], cka, cka)}
    found = verdict("C11", make_evidence(tmp_path, tables, slugs=TRAINED))
    local, middle, global_ = (np.mean([cka[r][at] for r in (1, 2, 3)]) for at in (0, 2, 4))
    expected = [local - middle, middle - global_, global_ / local]
    assert values(found) == rounded(expected, **MEANS)


@pytest.mark.parametrize("count", [4, 5, 6, 7, 10, 13])
def test_the_three_windows_of_c11_share_no_head(count):
    """Of as many heads as have that many windows of a quarter of them."""
    heads = next(h for h in (4, *range(6, 20)) if h - math.ceil(h / 4) + 1 == count)
    each = math.ceil(heads / 4)
    windows = [set(range(first, first + each)) for first in range(count)]
    taken = [windows[at] for at in (0, (count - 1) // 2, -1)]
    assert len(set.union(*taken)) == 3 * each
    low, middle, _ = fig05._statistics(np.arange(count, 0, -1.0)[None])
    assert low == (count - 1) // 2 and low + middle == count - 1


def test_c11_before_it_was_amended_took_all_windows_and_the_weakest_unit(tmp_path):
    cka = {0: RISING, 1: FALLING, 2: [0.6, 0.5, 0.55, 0.5, 0.51], 3: FALLING, 4: RISING}
    evidence = make_evidence(tmp_path, {"head_subsets.parquet": subsets(TRAINED[0], cka, cka)})
    found = judge(claim("C11").former, evidence)
    assert values(found) == rounded([spearmanr(cka[2], range(5)).statistic, 0.51 / 0.6], **MEANS)


def test_heads_that_look_equally_far_are_no_test_of_c11(tmp_path):
    """Though similarity falls from one window to the next."""
    table = subsets(TRAINED[0], FALLING)
    table["relative"] = 0.95 + 0.01 * table["subset"]
    found = verdict("C11", make_evidence(tmp_path, {"head_subsets.parquet": table}, TRAINED))
    assert found.word == "out of reach"
    assert found.because.startswith("the first heads of VIT look equally far")
    table["relative"] = np.where(table["left_out"] % 2, 0.1, 0.5) * table["subset"] / 4
    unsure = verdict("C11", make_evidence(tmp_path, {"head_subsets.parquet": table}, TRAINED))
    assert unsure.word.startswith("holds"), "a spread that may be enough is no bar"


def test_c11_under_another_index(tmp_path):
    """Of the units that are named, and of a biased index what it shows beyond shuffled images."""
    falls = {0: RISING, 1: FALLING, 2: FALLING, 3: FALLING, 4: RISING}
    flat = falls | {2: RISING}
    floor = 0.4
    by_index = {"rbf": falls, "linear": flat}
    by_index["procrustes"] = {rank: floor + 0.6 * np.array(own) for rank, own in falls.items()}
    rows = [
        of(TRAINED[0])
        | {"other_model": "resnet", "unit_rank": rank, "subset": place, "index": index}
        | {"value": value, "shuffled": floor if index == "procrustes" else 0.0}
        for index, by_rank in by_index.items()
        for rank, own in by_rank.items()
        for place, value in enumerate(own)
    ]
    tables = {"head_subsets.parquet": subsets(TRAINED[0], FALLING)}
    tables["head_subset_indices.parquet"] = pd.DataFrame(rows).sample(frac=1, random_state=0)
    evidence = make_evidence(tmp_path, tables, slugs=TRAINED)
    check = claim("C11").robustness_check
    assert check(evidence, "rbf") and not check(evidence, "linear")
    assert check(evidence, "procrustes")
    with pytest.raises(NotMeasured):
        check(evidence, "neighbours")


def test_c11_leaves_out_random_subsets_and_other_resnets(tmp_path):
    parts = [
        subsets(TRAINED[0], FALLING),
        subsets(TRAINED[0], RISING, kind="random"),
        subsets(TRAINED[0], RISING, other="resnet_thin/f100/s0"),
    ]
    evidence = make_evidence(tmp_path, {"head_subsets.parquet": pd.concat(parts)}, slugs=TRAINED)
    assert verdict("C11", evidence).word.startswith("holds")


def test_c11_follows_the_distance_that_each_replicate_measured_before(tmp_path):
    table = subsets(TRAINED[0], FALLING)
    table.loc[table["left_out"] == 2, "relative"] *= -1
    evidence = make_evidence(tmp_path, {"head_subsets.parquet": table}, TRAINED)
    found = judge(claim("C11").former, evidence)
    assert found.word == "undecided" and "Spearman" in found.because


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (subsets(TRAINED[0], FALLING, ranks=(0, 4)), "lacks the units"),
        (subsets(TRAINED[0], FALLING[:3]), "too few heads"),
    ],
)
def test_c11_not_run(tmp_path, table, why):
    found = verdict("C11", make_evidence(tmp_path, {"head_subsets.parquet": table}, TRAINED))
    assert found.word == "not run" and why in found.because


DEPTHS = [0.0, 0.2, 0.4, 0.8, 1.0]
TABLE = "receptive_fields.parquet"


def fields(slug, column, at_depths, branch, variant="post", spread=0.0, depths=DEPTHS):
    rows = [
        of(slug) | {"depth": d, "branch": branch, "variant": variant, column: float(value)}
        for d, value in zip(depths, at_depths, strict=True)
    ]
    return with_replicates(rows, column, spread)


def c12(trained, untrained, wide):
    growing, not_growing = [3, 5, 5, 8, 12], [9, 9, 8, 7, 6]
    own = fields("resnet/f100/s0", "side_px", growing if trained else not_growing, "unit")
    if wide:
        own.loc[own["left_out"] == 1, "side_px"] *= -1
    bare = fields("resnet/f000/s0", "side_px", growing if untrained else not_growing, "unit")
    first = fields("resnet/f100/s0", "side_px", [99.0], "embed", depths=[0.0])
    branches = fields("resnet/f100/s0", "side_px", not_growing, "unit", "pre")
    return {TABLE: pd.concat([own, bare, first, branches])}


GLOBAL_VIT, LOCAL_VIT = [0.7, 0.55, 0.5, 0.5, 0.5], [0.99, 0.97, 0.95, 0.7, 0.5]
GROWING, GROWN = [0.9, 0.8, 0.75, 0.5, 0.25], [0.2, 0.2, 0.2, 0.2, 0.2]


def c13(trained, untrained, wide):
    parts = []
    for vit, resnet, is_shown in zip(SLUGS[::2], SLUGS[1::2], (trained, untrained), strict=True):
        spread = 0.1 * (wide and vit == SLUGS[0])
        own = GLOBAL_VIT if is_shown else LOCAL_VIT
        other = GROWING if is_shown else GROWN
        parts.append(fields(vit, "own_patch_share", own, "mlp", spread=spread))
        parts.append(fields(vit, "own_patch_share", LOCAL_VIT, "attn"))
        parts.append(fields(resnet, "window_share", other, "unit", spread=spread))
    return {TABLE: pd.concat(parts)}


def c14(trained, untrained, wide):
    parts = []
    for slug, is_shown in zip(SLUGS[::2], (trained, untrained), strict=True):
        spread = 0.1 * (wide and slug == SLUGS[0])
        pre = [0.9, 0.9, 0.9, 0.2, 0.2 if is_shown else 0.6]
        parts.append(fields(slug, "own_patch_share", pre, "attn", "pre"))
        parts.append(fields(slug, "own_patch_share", [0.5] * 5, "attn", spread=spread))
    return {TABLE: pd.concat(parts)}


@pytest.mark.parametrize(("identity", "tables"), [("C12", c12), ("C13", c13), ("C14", c14)])
def test_figure_6(tmp_path, identity, tables):
    check_words(tmp_path, identity, tables)


def test_c12_to_c14_are_what_they_say(tmp_path):
    tables = [make(True, False, False)[TABLE] for make in (c12, c13, c14)]
    found = [
        values(verdict(identity, make_evidence(tmp_path / identity, {TABLE: table})))
        for identity, table in zip(("C12", "C13", "C14"), tables, strict=True)
    ]
    half = 5 + (8 - 5) / 4
    assert found[0] == rounded([half - 3, 12 - half], terms=5, size=12)
    half_way = 0.25 + (0.5 - 0.25) / 4
    assert found[1] == rounded([1.0, half_way / 0.75, 0.3 - 0.1], **MEANS)
    assert found[2] == rounded([0.3], **MEANS)


def test_an_own_patch_that_holds_all_has_no_share_elsewhere(tmp_path):
    parts = [
        fields(TRAINED[0], "own_patch_share", [1.0] * 5, "mlp"),
        fields(TRAINED[1], "window_share", GROWING, "unit"),
    ]
    found = verdict("C13", make_evidence(tmp_path, {TABLE: pd.concat(parts)}, TRAINED))
    assert np.isnan(found.lines[0].value) and found.lines[0].outcome == "unclear"
    assert found.because.startswith("fails for VIT × RESNET (first block, ViT − ResNet)")


def test_a_field_that_is_empty_at_some_depth_leaves_c12_open(tmp_path):
    table = fields(TRAINED[1], "side_px", [3, 5, np.nan, 8, 12], "unit")
    found = verdict("C12", make_evidence(tmp_path, {TABLE: table}, TRAINED))
    assert found.word == "undecided" and "undefined" in found.because


def test_fields_that_stop_growing_half_way_do_not_grow_with_depth(tmp_path):
    table = fields(TRAINED[1], "side_px", [3, 5, 9, 9, 9], "unit")
    found = verdict("C12", make_evidence(tmp_path, {TABLE: table}, TRAINED))
    assert found.word == "undecided" and "from half depth" in found.because


def test_c12_before_it_was_amended_was_a_rank_correlation(tmp_path):
    """A field that stops growing half way could fail it, and one that shrinks a little pass."""
    former = claim("C12").former
    for sides, expected in (
        ([3, 5, 9, 9, 9], 2 / 5**0.5),
        ([3, 5, 8, 12, 11], 0.9),
        ([3] * 5, 0.0),
    ):
        table = fields(TRAINED[1], "side_px", sides, "unit")
        found = judge(former, make_evidence(tmp_path / str(sides), {TABLE: table}, TRAINED))
        assert values(found) == rounded([expected], **MEANS)


def test_fields_of_one_size_do_not_grow(tmp_path):
    same = [fields(slug, "side_px", [3] * 5, "unit") for slug in SLUGS[1::2]]
    found = verdict("C12", make_evidence(tmp_path, {TABLE: pd.concat(same)}))
    assert found.word == "undecided" and found.lines[0].control == 0.0


def test_three_depths_have_no_trend(tmp_path):
    table = fields(TRAINED[1], "side_px", [3, 5, 8], "unit", depths=DEPTHS[::2])
    found = verdict("C12", make_evidence(tmp_path, {TABLE: table}, TRAINED))
    assert found.word == "not run" and "4 blocks" in found.because


MLP_CLS, MLP = [2.2, 5.5, 9.9, 5.2, 3.8, 1.2], [0.5, 2.5, 2.7, 5.4, 5.5, 3.8]
ATTN, UNIT = [3.6, 2.3, 2.9, 6.1, 10.4, 7.1], [1.9, 1.4, 1.2, 1.1, 0.9, 1.0]
TOKENS = {"spatial": [0.7, 0.8, 0.9, 0.95, 0.97, 0.98], "cls": [0.98, 0.97, 0.95, 0.9, 0.8, 0.6]}


def skips(slug, column, by_block, branch, tokens="spatial", spread=0.0):
    rows = [
        of(slug) | {"block": block, "branch": branch, "tokens": tokens, column: float(value)}
        for block, value in enumerate(by_block)
    ]
    return with_replicates(rows, column, spread)


def c15(trained, untrained, wide):
    parts = []
    for vit, resnet, is_shown in zip(SLUGS[::2], SLUGS[1::2], (trained, untrained), strict=True):
        spread = 0.5 * (wide and vit == SLUGS[0])
        parts.append(skips(vit, "ratio", ATTN if is_shown else UNIT, "attn", spread=spread))
        parts.append(skips(vit, "ratio", MLP, "mlp", spread=spread))
        parts.append(skips(vit, "ratio", [0.1] * 6, "mlp", "cls"))
        parts.append(skips(resnet, "ratio", UNIT, "unit"))
    return {"skip_ratios.parquet": pd.concat(parts)}


def c16(trained, untrained, wide):
    parts = []
    for slug, is_shown in zip(SLUGS[::2], (trained, untrained), strict=True):
        spread = 1.0 * (wide and slug == SLUGS[0])
        parts.append(skips(slug, "ratio", MLP_CLS, "mlp", "cls", spread))
        parts.append(skips(slug, "ratio", MLP, "mlp"))
        parts.append(skips(slug, "ratio", ATTN if is_shown else ATTN[::-1], "attn"))
    return {"skip_ratios.parquet": pd.concat(parts)}


def c16b(trained, untrained, wide):
    parts = []
    for slug, is_shown in zip(SLUGS[::2], (trained, untrained), strict=True):
        for tokens, cosine in TOKENS.items():
            for branch in ("attn", "mlp"):
                own = np.array(cosine if is_shown else cosine[::-1])
                part = skips(slug, "cosine", own, branch, tokens)
                if wide and slug == SLUGS[0]:
                    part.loc[part["left_out"] % 2 == 0, "cosine"] *= -1
                parts.append(part)
    return {"skip_ratios.parquet": pd.concat(parts)}


@pytest.mark.whole  # every word, of nine experiments
@pytest.mark.parametrize(("identity", "tables"), [("C15", c15), ("C16", c16), ("C16b", c16b)])
def test_figure_7(tmp_path, identity, tables):
    check_words(tmp_path, identity, tables)


def test_c15_and_c16_are_what_they_say(tmp_path):
    ratios = values(verdict("C15", make_evidence(tmp_path / "15", c15(True, False, False))))
    assert ratios == rounded([np.mean(ATTN) / np.mean(UNIT), np.mean(MLP) / np.mean(UNIT)], **MEANS)
    found = values(verdict("C16", make_evidence(tmp_path / "16", c16(True, False, False))))
    (cls, cls_late), (mlp, mlp_late), (attn, attn_late) = (
        (np.mean(own[:3]), np.mean(own[3:])) for own in (MLP_CLS, MLP, ATTN)
    )
    expected = [cls - cls_late, attn_late - attn, cls - mlp, cls_late - mlp_late]
    assert found == rounded(expected, **MEANS)
    turned = values(verdict("C16b", make_evidence(tmp_path / "16b", c16b(True, False, False))))
    halves = [np.mean(own[3:]) - np.mean(own[:3]) for own in TOKENS.values()]
    assert turned == rounded([halves[0], -halves[1]], **MEANS)


def test_an_untrained_resnet_whose_branches_are_0_is_no_control(tmp_path):
    tables = c15(True, False, False)
    table = tables["skip_ratios.parquet"]
    table.loc[(table["fraction"] == "f000") & (table["model"] == "resnet"), "ratio"] = np.nan
    found = verdict("C15", make_evidence(tmp_path, tables))
    assert found.word.startswith("holds") and "no untrained control" in found.because


def test_a_branch_that_is_0_leaves_the_ratio_open(tmp_path):
    tables = c15(True, False, False)
    table = tables["skip_ratios.parquet"]
    of_unit = (table["fraction"] == "f100") & (table["branch"] == "unit") & (table["block"] == 2)
    table.loc[of_unit, "ratio"] = np.nan
    assert verdict("C15", make_evidence(tmp_path, tables)).word == "undecided"


def test_all_seeds_are_read_and_paired(tmp_path):
    slugs = [f"{m}/f100/{s}" for m in ("vit", "resnet") for s in ("s0", "s1")]
    parts = []
    for seed, factor in (("s0", 1), ("s1", 2)):
        parts.append(skips(f"vit/f100/{seed}", "ratio", ATTN, "attn"))
        parts.append(skips(f"vit/f100/{seed}", "ratio", ATTN, "mlp"))
        parts.append(skips(f"resnet/f100/{seed}", "ratio", factor * np.array(UNIT), "unit"))
    tables = {"skip_ratios.parquet": pd.concat(parts)}
    line = verdict("C15", make_evidence(tmp_path, tables, slugs)).lines[0]
    ratio = np.mean(ATTN) / np.mean(UNIT)
    assert line.value == rounded(0.75 * ratio, **MEANS)
    assert line.seeds.startswith("2 of VIT (made up); 2 of RESNET")


def test_a_seed_that_was_not_measured_does_not_keep_the_other_from_speaking(tmp_path):
    slugs = [*TRAINED, "vit/f100/s1"]
    table = c16b(True, False, False)["skip_ratios.parquet"]
    evidence = make_evidence(tmp_path, {"skip_ratios.parquet": table}, slugs)
    assert verdict("C16b", evidence).word.startswith("holds")


def test_skipless_vits_are_not_judged(tmp_path):
    models = {"vit": VIT, "resnet": RESNET, "lacking": VIT | {"skipless_block": 3}}
    tables = c16(True, False, False)
    extra = tables["skip_ratios.parquet"].query("fraction == 'f100'").assign(model="lacking")
    extra["ratio"] = replicates(extra["ratio"])[0][::-1]
    tables["skip_ratios.parquet"] = pd.concat([*tables.values(), extra])
    slugs = [*SLUGS, "lacking/f100/s0"]
    found = verdict("C16", make_evidence(tmp_path, tables, slugs, models))
    assert {line.case for line in found.lines} == {"VIT"}
