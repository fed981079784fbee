"""Claims N1 to N12 but N9 on results of which the answer is known, and on published numbers."""

import numpy as np
import pandas as pd
import pytest

from sightlines.claims.claim import from_replicates
from tests.claims.making_evidence import (
    CHANCE,
    MODELS,
    SLUGS,
    check_words,
    make_evidence,
    of,
    replicates,
    values,
    verdict,
    with_replicates,
)

PUBLIC = {"train_images": 0}
HERE = {"train_images": 12000}
SPREAD = 0.0001


def is_vit(slug):
    return slug.startswith("vit")


def rows(slug, column, by_condition):
    for (condition, severity), value in by_condition.items():
        own = {"condition": condition, "severity": float(severity), "grid": 8, "chance": CHANCE}
        own |= {"cells": 8}
        yield of(slug) | own | {column: value}


def table(by_slug, column, wide=False):
    """A table of one statistic: slug -> {(condition, severity): value}.

    Replicates of conditions that follow each other move apart; where there is one, of networks.
    """
    frames = []
    for number, (slug, own) in enumerate(by_slug.items()):
        for place, row in enumerate(rows(slug, column, own)):
            sign = (-1) ** (place if len(own) > 1 else number)
            spread = sign * (1.0 if wide else SPREAD)
            frames.append(with_replicates([row], column, spread))
    return pd.concat(frames, ignore_index=True)


def both(column, vit, resnet, bare=None, slugs=SLUGS, wide=False):
    """occlusion.parquet of a ViT and a ResNet, untrained networks as `bare` or without rows."""
    found = {s: (vit if is_vit(s) else resnet) for s in slugs if "/f100/" in s}
    if bare is not None:
        found |= {s: bare for s in slugs if "/f000/" in s}
    return {"occlusion.parquet": table(found, column, wide)}


def evidence(folder, tables, accuracy_rows=HERE, **more):
    """Evidence whose networks were trained here, or elsewhere."""
    from tests.claims import making_evidence as making

    def accuracies(slugs, accuracy, sizes):
        return MADE(slugs, accuracy, sizes).assign(**accuracy_rows)

    MADE, making.accuracy_table = making.accuracy_table, accuracies
    try:
        return make_evidence(folder, tables, **more)
    finally:
        making.accuracy_table = MADE


HALF = ("drop_black", 0.5)
MEAN, MOVED = ("drop_mean", 0.5), ("drop_shifted", 0.5)


def kept(vit, resnet, **more):
    return both("retention", {HALF: vit}, {HALF: resnet}, **more)


@pytest.mark.parametrize(
    ("vit", "resnet", "word"),
    [(0.8, 0.3, "holds"), (0.8, 0.75, "does not hold"), (0.4, 0.1, "does not hold")],
)
def test_n1_asks_for_what_is_kept_and_for_the_difference(tmp_path, vit, resnet, word):
    found = verdict("N1", evidence(tmp_path, kept(vit, resnet)))
    assert found.word == word and np.allclose(values(found), [vit, vit - resnet])
    assert verdict("N1b", evidence(tmp_path, kept(vit, resnet))).word == "not run"
    elsewhere = verdict("N1b", evidence(tmp_path, kept(vit, resnet), PUBLIC))
    assert elsewhere.word == word
    assert verdict("N1", evidence(tmp_path, kept(vit, resnet), PUBLIC)).word == "not run"


def test_n1_of_networks_that_know_nothing_is_not_run(tmp_path):
    made = kept(np.nan, 0.3)
    found = verdict("N1", evidence(tmp_path, made))
    assert found.word == "not run" and "below 3 × chance" in found.because


def test_n1_of_the_published_numbers(tmp_path):
    """DeiT-S 70 of 79.9 %, ResNet50 .1 of 76.1 %, a thousand classes: text of the paper."""

    def above(accuracy):
        return (accuracy - 0.001) / 0.999

    made = kept(above(0.70) / above(0.799), above(0.001) / above(0.761))
    assert verdict("N1b", evidence(tmp_path, made, PUBLIC)).word == "holds"


def test_n2_asks_for_both_fills(tmp_path):
    def made(mean, black):
        vit, resnet = {MEAN: 0.5 + mean, HALF: 0.5 + black}, {MEAN: 0.5, HALF: 0.5}
        return both("retention", vit, resnet)

    assert verdict("N2", evidence(tmp_path, made(0.3, 0.2))).word == "holds"
    assert verdict("N2", evidence(tmp_path, made(0.02, 0.4))).word == "does not hold"


def test_n3_takes_off_what_the_resnet_loses_as_well(tmp_path):
    def made(vit, resnet):
        own = ({HALF: 0.6, MOVED: 0.6 - gain} for gain in (vit, resnet))
        return both("retention", *own)

    assert verdict("N3", evidence(tmp_path, made(0.1, 0.05))).word == "holds"
    assert verdict("N3", evidence(tmp_path, made(0.1, 0.15))).word == "does not hold"
    assert verdict("N3b", evidence(tmp_path, made(0.01, 0.0), PUBLIC)).word == "does not hold"
    assert verdict("N3b", evidence(tmp_path, made(0.03, 0.0), PUBLIC)).word == "holds"


@pytest.mark.parametrize(
    ("number", "column", "origin"),
    [
        ("N1", "retention", HERE),
        ("N1b", "retention", PUBLIC),
        ("N2", "retention", HERE),
        ("N3", "retention", HERE),
        ("N3b", "retention", PUBLIC),
        ("N5", "excess", HERE),
        ("N5b", "excess", PUBLIC),
    ],
)
def test_claims_about_dropped_patches_are_of_vits_whose_patches_are_the_cells(
    tmp_path, number, column, origin
):
    vit, resnet = {HALF: 0.9, MEAN: 0.9, MOVED: 0.6}, {HALF: 0.1, MEAN: 0.1, MOVED: 0.05}
    tables = both(column, vit, resnet)
    assert verdict(number, evidence(tmp_path / "own", tables, origin)).word == "holds"
    finer = {"occlusion.parquet": tables["occlusion.parquet"].assign(cells=16)}
    found = verdict(number, evidence(tmp_path / "finer", finer, origin))
    assert found.word == "not run"
    assert "(16 a side) are not the patches of vit/f100/s0 (8 a side)" in found.because
    assert "conditions.models" in found.because


@pytest.mark.parametrize("number", ["N2", "N7", "N9", "P3", "P4", "P8", "P9"])
def test_networks_trained_here_are_not_held_against_public_ones(tmp_path, number):
    made = evidence(tmp_path, {}, HERE)
    table = made.table("accuracy.csv")
    mixed = table.assign(train_images=np.where(table["model"] == "vit", 12000, 0))
    found = verdict(number, make_evidence(tmp_path, {"accuracy.csv": mixed}))
    assert found.word == "not run" and "both public weights" in found.because


def parts(ground, anywhere, own):
    return {("drop_ground", 1): ground, ("drop_anywhere", 1): anywhere, ("drop_object", 1): own}


def test_n4_gets_every_word(tmp_path):
    nothing = dict.fromkeys(parts(0, 0, 0), CHANCE)

    def made(trained, untrained, wide):
        yes, no = parts(0.7, 0.5, 0.2), parts(0.4, 0.5, 0.5)
        own = yes if trained else no
        return both("accuracy", own, own, yes if untrained else nothing, wide=wide)

    check_words(tmp_path, "N4", made)


def test_n5_gets_every_word(tmp_path):
    def made(trained, untrained, wide):
        found = {}
        for slug in SLUGS:
            ahead = trained if "/f100/" in slug else untrained
            found[slug] = {HALF: 0.3 + 0.4 * (is_vit(slug) and ahead)}
        return {
            "occlusion.parquet": table(found, "excess", wide),
            "accuracy.csv": accuracies(SLUGS),
        }

    found = verdict("N5", make_evidence(tmp_path, made(True, False, False)))
    assert found.word == "holds, learned" and np.allclose(values(found), 0.4)
    assert verdict("N5", make_evidence(tmp_path, made(True, True, False))).word == (
        "holds at initialisation"
    )
    assert verdict("N5", make_evidence(tmp_path, made(False, False, False))).word == "does not hold"
    assert verdict("N5", make_evidence(tmp_path, made(True, False, True))).word == "undecided"


def accuracies(slugs):
    found = [of(s) | HERE | {"accuracy_test": 0.6 if "/f100/" in s else CHANCE} for s in slugs]
    return pd.DataFrame(found).assign(chance=CHANCE, test_images=1000, parameters=1000)


def shuffled(by_grid):
    return {("shuffle", grid): value for grid, value in by_grid.items()}


def test_n6_compares_the_own_grid_with_the_next_finer_one(tmp_path):
    def made(by_grid):
        return both("above_chance", shuffled(by_grid), shuffled(by_grid))

    found = verdict("N6", evidence(tmp_path, made({2: 0.9, 8: 0.5, 16: 0.3, 32: 0.6})))
    assert found.word == "holds" and np.allclose(values(found), 0.2)
    assert verdict("N6", evidence(tmp_path, made({8: 0.3, 16: 0.5}))).word == "does not hold"
    coarse = verdict("N6", evidence(tmp_path, made({2: 0.3, 8: 0.5})))
    assert coarse.word == "not run" and "shuffle_cells" in coarse.because


def test_n7_is_the_mean_over_grids_up_to_the_own_one(tmp_path):
    made = both("retention", shuffled({2: 0.3, 8: 0.9, 16: 0}), shuffled({2: 0.5, 8: 0.5, 16: 0.9}))
    found = verdict("N7", evidence(tmp_path, made))
    assert found.word == "holds" and np.allclose(values(found), 0.1)


def lesions(blocks, stages, spread=SPREAD):
    found = []
    for slug in ("vit/f100/s0", "resnet/f100/s0"):
        site, kept = ("block", blocks) if is_vit(slug) else ("stage", stages)
        for place, value in enumerate(kept):
            own = {"site": site, "place": place + (site == "stage"), "change": "zero"}
            found.append(of(slug) | own | {"severity": 0.25, "retention": value})
            other = own | {"severity": 0.25, "change": "shuffle", "retention": 0.0}
            found.append(of(slug) | other)
    return {"lesion.parquet": with_replicates(found, "retention", spread)}


@pytest.mark.parametrize(
    ("blocks", "stages", "word"),
    [
        ((0.9, 0.6, 0.8), (0.1, 0.9), "holds"),
        ((0.9, 0.2, 0.8), (0.1, 0.9), "does not hold"),
        ((0.9, 0.6, 0.8), (0.5, 0.1), "does not hold"),
    ],
)
def test_n12_is_of_the_first_stage_and_the_weakest_block(tmp_path, blocks, stages, word):
    found = verdict("N12", evidence(tmp_path, lesions(blocks, stages)))
    assert found.word == word and np.allclose(values(found), [stages[0], min(blocks)])


def test_n12_allows_for_the_weakest_of_several_blocks_being_so_by_chance(tmp_path):
    """An interval that calls one block too fragile is too narrow for the weakest of six."""
    unit = from_replicates(replicates(0.39, 1.0))
    spread = 0.006 / (unit.high - unit.value)
    alone, of_six = (
        verdict("N12", evidence(tmp_path / name, lesions(blocks, (0.1,), spread)))
        for name, blocks in (("one", (0.39,)), ("six", (0.39,) * 6))
    )
    assert alone.word == "does not hold" and of_six.word == "undecided"


def test_n12_of_the_published_numbers(tmp_path):
    """Tables 6 and 7: DeiT-B 57.4 % (block 1) and 62.0 % (block 11) of 81.8, ResNet50 of 76.1."""
    blocks = np.array([0.574, 0.620]) / 0.818
    stages = np.array([0.0014, 0.451, 0.692, 0.740, 0.757]) / 0.761
    assert verdict("N12b", evidence(tmp_path, lesions(blocks, stages), PUBLIC)).word == "holds"


def test_a_condition_that_was_left_out_is_named(tmp_path):
    found = verdict("N2", evidence(tmp_path, kept(0.8, 0.3)))
    assert found.word == "not run"
    assert "nothing for vit/f100/s0 under drop_mean 0.5: see `conditions`" in found.because
    assert set(MODELS) == {"vit", "resnet"}


@pytest.mark.parametrize(
    ("worth", "word"), [(0.03, "holds"), (0.2, "does not hold"), (-0.05, "does not hold")]
)
def test_n8_is_of_two_vits_that_differ_by_positions_alone(tmp_path, worth, word):
    models = {"placed": MODELS["vit"], "unplaced": MODELS["vit"], "other": MODELS["vit"] | DEEPER}
    slugs = [f"{model}/f100/s0" for model in models]
    rows = [
        of(s) | {"positions": not s.startswith("unplaced"), "condition": "clean"} for s in slugs
    ]
    found = [of(s) | HERE | {"accuracy_test": 0.6} for s in slugs]
    accuracy = pd.DataFrame(found).assign(chance=CHANCE, test_images=10**6, parameters=1000)
    accuracy.loc[0, "accuracy_test"] += worth
    tables = {"occlusion.parquet": pd.DataFrame(rows), "accuracy.csv": accuracy}
    made = verdict("N8", make_evidence(tmp_path, tables, slugs, models))
    assert made.word == word and np.allclose(values(made), worth)
    assert made.lines[0].case == "PLACED × UNPLACED"
    few = tables | {"occlusion.parquet": pd.DataFrame(rows[:2])}  # `other` was shown nothing
    made = verdict("N8", make_evidence(tmp_path, few, slugs, models))
    assert made.word == word and made.lines[0].case == "PLACED × UNPLACED"
    alone = verdict("N8", make_evidence(tmp_path, tables, slugs[::2], models))
    assert alone.word == "not run" and "pos_embed: none" in alone.because


DEEPER = {"depth": 8}


def test_n11_is_not_run_whatever_networks_there_are_and_says_why(tmp_path):
    table = pd.DataFrame([of(slug) | {"category": "all", "left_out": -1} for slug in SLUGS])
    found = verdict("N11", evidence(tmp_path, {"shape_bias.csv": table}, PUBLIC))
    assert found.word == "not run" and found.because.startswith("needs weights that cannot be had")
    alone = verdict("N11", evidence(tmp_path / "none", {}))
    assert (alone.word, alone.because) == (found.word, found.because)


def test_n10_is_open_where_doses_are_closer_than_their_error(tmp_path):
    """No rank moves when one group is left out, though the errors are as far off as they differ."""
    bias, error = (0.9, 0.7, 0.5, 0.3, 0.1), (0.5, 0.6, 0.4, 0.2, 0.3)
    random = np.random.default_rng(0)
    exact = doses(bias, error)["texture_match.csv"]
    rows = exact[exact["left_out"] == -1]
    parts = [rows]
    for group in range(10):
        away = random.uniform(-0.04, 0.04, len(rows))
        parts.append(rows.assign(left_out=group, error=rows["error"] + away))
    table = pd.concat(parts)
    orders = [own.sort_values("error")["task"].tolist() for _, own in table.groupby("left_out")]
    assert all(own == orders[0] for own in orders), "a jackknife of ranks finds no error"
    found = verdict("N10", evidence(tmp_path, {"texture_match.csv": table}))
    assert found.word == "undecided" and np.allclose(values(found), [0.8])
    assert verdict("N10", evidence(tmp_path / "exact", doses(bias, error))).word == "holds"


def doses(bias, error, cue=0.9):
    rows = []
    for place, (own_bias, own_error) in enumerate(zip(bias, error, strict=True)):
        for left_out, shift in enumerate((0.0, 0.001, -0.001), -1):
            own = of("vit/f100/s0") | {"task": f"match_{place}", "left_out": left_out}
            own |= {"texture_match": place / 10, "bias": own_bias + shift, "chance": 0.2}
            rows.append(own | {"cue_accuracy": cue, "error": own_error + shift})
    return {"texture_match.csv": pd.DataFrame(rows)}


def test_n10_asks_whether_errors_rise_with_shape_bias(tmp_path):
    bias = [0.9, 0.7, 0.5, 0.3, 0.1]
    found = verdict("N10", evidence(tmp_path, doses(bias, [0.6, 0.5, 0.4, 0.3, 0.2])))
    assert found.word == "holds" and np.allclose(values(found), [1.0])
    wrong = verdict("N10", evidence(tmp_path, doses(bias, [0.2, 0.3, 0.4, 0.5, 0.6])))
    assert wrong.word == "does not hold" and np.allclose(values(wrong), [-1.0])
    swapped = verdict("N10", evidence(tmp_path, doses(bias, [0.5, 0.6, 0.4, 0.2, 0.3])))
    assert np.allclose(values(swapped), [0.8])
    few = verdict("N10", evidence(tmp_path, doses(bias[:3], [0.6, 0.5, 0.4])))
    assert few.word == "not run" and "at 3 values of texture_match" in few.because
    unsure = verdict("N10", evidence(tmp_path, doses(bias, [0.6, 0.5, 0.4, 0.3, 0.2], cue=0.5)))
    assert unsure.word == "not run" and "at 0 values" in unsure.because
    flat = verdict("N10", evidence(tmp_path, doses(bias, [0.4] * 5)))
    assert flat.word == "not run" and "the same at every dose" in flat.because


def test_n10_compares_doses_at_equal_images_steps_and_seeds(tmp_path):
    bias, error = [0.9, 0.7, 0.5, 0.3, 0.1], [0.6, 0.5, 0.4, 0.3, 0.9]
    made = evidence(tmp_path, doses(bias, error))
    assert np.allclose(values(verdict("N10", made)), [0.0]), "all five"

    def told(**odd):
        """What the last dose was trained by, where it differs from the others."""
        known = {"images": {"n_train": 6000, "seed": 1}, "train": {"vit": {"steps": 400}}}
        found = {f"match_{place}": known for place in range(4)}
        last = {part: own | odd.get(part, {}) for part, own in known.items()}
        made.config["doses"] = found | {"match_4": last}
        return verdict("N10", made)

    assert np.allclose(values(told()), [0.0])
    fewer = told(images={"n_train": 500})
    assert fewer.word == "holds" and np.allclose(values(fewer), [1.0])
    said = "doses of VIT that were trained otherwise: match_4 (n_train 500 instead of 6000)"
    assert said in fewer.because
    longer = told(train={"vit": {"steps": 900}}, images={"seed": 2})
    assert "match_4 (seed 2 instead of 1, steps 900 instead of 400)" in longer.because
    made.config["doses"].pop("match_0")
    few = verdict("N10", made)
    assert few.word == "not run" and "at 3 values" in few.because and "left out" in few.because
