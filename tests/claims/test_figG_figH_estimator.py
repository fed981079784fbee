"""Claims C31, C32, V1 and V2 on made-up tables."""

import numpy as np
import pandas as pd
import pytest

from sightlines.claims.evidence import NotMeasured
from sightlines.claims.verdict import judge
from tests.claims.making_evidence import (
    GROUPS,
    MEANS,
    RESNET,
    TRAINED,
    VIT,
    check_words,
    claim,
    make_evidence,
    of,
    replicates,
    resnet_layers,
    values,
    verdict,
    vit_layers,
    with_replicates,
)
from tests.rounding import rounded

KEPT, INSIDE, OUTSIDE = [0.97, 0.95, 0.8, 0.7, 0.6, 0.5], [0.96, 0.94, 0.9, 0.9, 0.7, 0.6], 0.2
TASKS = {"toys": "in", "cars": "in", "weeds": "out"}


def tuned(slug, task, by_block, spread=0.0):
    rows = [
        of(slug) | {"task": task, "domain": TASKS[task], "block": block, "cka": float(value)}
        for block, value in enumerate(by_block)
    ]
    return with_replicates(rows, "cka", spread)


def figure_g1(trained, untrained, wide, slug=TRAINED[0]):
    outside = np.array(INSIDE) - OUTSIDE
    parts = [
        tuned(slug, "toys", KEPT, 0.1 * wide),
        tuned(slug, "cars", INSIDE),
        tuned(slug, "weeds", outside if trained else outside[::-1]),
        tuned(TRAINED[1], "toys", KEPT[::-1]),
    ]
    return {"finetuning.parquet": pd.concat(parts), "tuned_accuracy.csv": scores(slug)}


def scores(*slugs, **accuracy):
    """Accuracies of tuned networks by task, .6 unless told."""
    rows = [
        of(slug) | {"task": t, "domain": d, "accuracy": accuracy.get(t, 0.6), "chance": 0.1}
        for slug in slugs
        for t, d in TASKS.items()
    ]
    return pd.DataFrame(rows)


def test_a_tuned_network_that_did_not_learn_says_nothing(tmp_path):
    tables = figure_g1(True, False, False)
    tables["tuned_accuracy.csv"] = scores(TRAINED[0], weeds=0.2)
    found = verdict("C31", make_evidence(tmp_path, tables))
    assert found.word == "not run" and "tuned on weeds reached 20.0% (needed: 21%)" in found.because


def test_a_tuning_that_changed_nothing_is_no_change(tmp_path):
    same = pd.concat([tuned(TRAINED[0], task, [1.0] * 6) for task in TASKS])
    tables = {"finetuning.parquet": same, "tuned_accuracy.csv": scores(TRAINED[0])}
    assert verdict("C31", make_evidence(tmp_path, tables)).word == "undecided"


def test_c31(tmp_path):
    check_words(tmp_path, "C31", figure_g1, has_control=False)


def test_c31_is_of_the_task_that_shows_it_least_and_of_all_blocks(tmp_path):
    found = verdict("C31", make_evidence(tmp_path, figure_g1(True, False, False)))
    low, change = np.mean(INSIDE[:2]), np.mean(INSIDE[:2]) - np.mean(INSIDE[4:])
    domains = (np.mean(KEPT) + np.mean(INSIDE)) / 2 - (np.mean(INSIDE) - OUTSIDE)
    assert values(found) == rounded([low, change, domains], **MEANS)
    assert {line.case for line in found.lines} == {"VIT"}


@pytest.mark.parametrize("task", TASKS)
def test_a_block_that_is_undefined_leaves_c31_open(tmp_path, task):
    tables = figure_g1(True, False, False)
    table = tables["finetuning.parquet"]
    one = (table["task"] == task) & (table["block"] == 5) & (table["model"] == "vit")
    tables["finetuning.parquet"] = table.assign(cka=table["cka"].mask(one))
    found = verdict("C31", make_evidence(tmp_path, tables))
    assert found.word == "undecided" and "lowest − highest" in found.because


@pytest.mark.parametrize(
    ("steps", "word"),
    [({"vit": 200}, "holds"), ({"vit": 150}, "out of reach"), ({"resnet": 150}, "holds")],
)
def test_c31_needs_as_many_steps_on_every_task(tmp_path, steps, word):
    """Of the ViTs: how long a ResNet was tuned is nothing to the claim."""
    evidence = make_evidence(tmp_path, figure_g1(True, False, False))
    evidence.config["task_steps"] = {"toys": {"vit": 200, "resnet": 9}, "weeds": steps}
    found = verdict("C31", evidence)
    assert found.word.startswith(word)
    if word == "out of reach":
        told = "VIT was trained further on toys for 200 steps, weeds for 150 steps: needs equal"
        assert found.because.startswith(told)


def test_c31_under_another_index(tmp_path):
    """A biased index is held against its value for shuffled images."""
    curves = {"toys": KEPT, "cars": INSIDE, "weeds": np.array(INSIDE) - OUTSIDE}
    frames = []
    for index, floor in (("rbf", 0.0), ("procrustes", 0.5)):
        for task, curve in curves.items():
            values = floor + (1 - floor) * np.asarray(curve)
            shown = values if index == "rbf" else values - 0.04 * (task == "cars")
            own = {"task": task, "index": index, "block": range(6), "value": shown}
            frames.append(pd.DataFrame(own | {"shuffled": floor} | of(TRAINED[0])))
    tables = figure_g1(True, False, False)
    tables["finetuning_indices.parquet"] = pd.concat(frames)
    evidence = make_evidence(tmp_path, tables)
    check = claim("C31").robustness_check
    assert check(evidence, "rbf") and not check(evidence, "procrustes")
    with pytest.raises(NotMeasured):
        check(evidence, "neighbours")


def test_c31_needs_both_domains_and_a_vit(tmp_path):
    table = figure_g1(True, False, False)["finetuning.parquet"]
    for name, part, why in (
        ("in", table[table["domain"] == "in"], "domain in and out"),
        ("resnet", table[table["model"] == "resnet"], "finetunes"),
        ("none", table[:0], "finetunes"),
    ):
        tables = {"finetuning.parquet": part, "tuned_accuracy.csv": scores(*TRAINED)}
        found = verdict("C31", make_evidence(tmp_path / name, tables))
        assert found.word == "not run" and why in found.because


def test_a_vit_that_is_tuned_on_one_domain_does_not_keep_the_other_from_speaking(tmp_path):
    models = {"vit": VIT, "other": VIT, "resnet": RESNET}
    slugs = ["other/f100/s0", *TRAINED]
    extra = tuned(slugs[0], "toys", KEPT)
    tables = figure_g1(True, False, False)
    tables["finetuning.parquet"] = pd.concat([extra, tables["finetuning.parquet"]])
    tables["tuned_accuracy.csv"] = scores(slugs[0], TRAINED[0])
    found = verdict("C31", make_evidence(tmp_path, tables, slugs, models))
    assert found.word.startswith("holds") and {line.case for line in found.lines} == {"VIT"}


def test_skipless_vits_are_not_judged_by_c31(tmp_path):
    models = {"vit": VIT, "lacking": VIT | {"skipless_block": 3}, "resnet": RESNET}
    slugs = [*TRAINED, "lacking/f100/s0"]
    extra = [tuned(slugs[2], task, KEPT[::-1]) for task in TASKS]
    tables = figure_g1(True, False, False)
    tables["finetuning.parquet"] = pd.concat([tables["finetuning.parquet"], *extra])
    assert verdict("C31", make_evidence(tmp_path, tables, slugs, models)).word.startswith("holds")


MODELS = {"mixer": {"family": "mixer"}, "vit": VIT, "resnet": RESNET}
ALL = [f"{m}/{f}/s0" for f in ("f100", "f000") for m in MODELS]
LAYERS = pd.concat([vit_layers(model="mixer"), vit_layers(), resnet_layers()])
COUNT, UNITS = len(vit_layers()), len(resnet_layers())
MAPS = "cka_replicates.safetensors"


def parted(first, within=0.8, across=0.3):
    low = np.arange(COUNT) < first
    return np.where(low[:, None] == low, within, across)


def figure_h(trained, untrained, wide):
    maps = {}
    for (mixer, vit, resnet), is_shown in ((ALL[:3], trained), (ALL[3:], untrained)):
        own = replicates(parted(10 if is_shown else 30))
        if wide and mixer == ALL[0]:
            own[1::2] = 0.5
        maps[f"{mixer}|{mixer}"] = own
        maps[f"{mixer}|{vit}"] = replicates(np.full((COUNT, COUNT), 0.5))
        maps[f"{resnet}|{mixer}"] = replicates(np.full((UNITS, COUNT), 0.3 if is_shown else 0.6))
    return {MAPS: maps, "layers.csv": LAYERS}


@pytest.mark.whole  # every word, of nine experiments
def test_c32(tmp_path):
    check_words(tmp_path, "C32", figure_h, slugs=ALL, models=MODELS)


def test_c32_is_what_it_says(tmp_path):
    found = verdict("C32", make_evidence(tmp_path, figure_h(True, False, False), ALL, MODELS))
    assert values(found) == rounded([0.5, 10 / (COUNT - 1), 0.2], **MEANS, dtype=np.float32)
    controls = [line.control for line in found.lines]
    assert controls == rounded([0.5, 30 / (COUNT - 1), -0.1], **MEANS, dtype=np.float32)


@pytest.mark.parametrize("pair", [(ALL[0], ALL[0]), (ALL[0], ALL[1]), (ALL[2], ALL[0])])
def test_a_map_that_is_undefined_leaves_c32_open(tmp_path, pair):
    tables = figure_h(True, False, False)
    tables[MAPS]["|".join(pair)][:] = np.nan
    assert verdict("C32", make_evidence(tmp_path, tables, ALL, MODELS)).word == "undecided"


@pytest.mark.parametrize("missing", MODELS)
def test_c32_needs_a_mixer_a_vit_and_a_resnet(tmp_path, missing):
    slugs = [s for s in ALL if not s.startswith(missing)]
    found = verdict("C32", make_evidence(tmp_path, figure_h(True, False, False), slugs, MODELS))
    assert found.word == "not run" and missing in found.because


def opinions(with_vit, with_resnet, cut):
    """Another similarity of the Mixer's seven blocks with itself and with the other networks."""
    low = np.arange(7) < cut
    own = np.where(low[:, None] == low, 0.9, 0.4)
    matrices = (own, np.full((7, 2), with_vit), np.full((7, 2), with_resnet))
    rows = [
        {f"{k}_a": v for k, v in of(ALL[0]).items()}
        | {f"{k}_b": v for k, v in of(other).items()}
        | {"layer_a": a, "layer_b": b, "index": "rbf", "value": value}
        for other, matrix in zip(ALL[:3], matrices, strict=True)
        for (a, b), value in np.ndenumerate(matrix)
    ]
    return {"similarity_indices.parquet": pd.DataFrame(rows)}


def test_c32_under_another_index(tmp_path):
    def stands(with_vit, with_resnet, index="rbf", cut=2):
        evidence = make_evidence(tmp_path, opinions(with_vit, with_resnet, cut), ALL, MODELS)
        return claim("C32").robustness_check(evidence, index)

    assert stands(0.5, 0.4) and not stands(0.4, 0.5) and not stands(0.5, 0.4, cut=5)
    for values_and_index in ((np.nan, 0.5), (0.5, np.nan), (0.5, 0.4, "procrustes")):
        with pytest.raises(NotMeasured):
            stands(*values_and_index)


def estimates(slug, check, *found):
    return pd.DataFrame(
        [
            of(slug)
            | {"check": check, "source": f"{64 >> part} images", "value": value}
            | {"left_out": left_out}
            for part, value in enumerate(found)
            for left_out in range(-1, GROUPS)
        ]
    )


def v1(trained, untrained, wide):
    """By change, its square, and the largest change before the claim was amended."""
    worst = 0.008 if trained else 0.03
    parts = [
        estimates(TRAINED[0], "batch_size", 0.001, -worst),
        estimates(TRAINED[0], "batch_size_square", 0.0, worst**2),
        estimates(TRAINED[0], "batch_size_largest", 0.01, 0.05),
    ]
    return {"estimator.csv": pd.concat(parts)}


def v2(trained, untrained, wide):
    return {"estimator.csv": estimates(TRAINED[0], "image_source", 0.99, 0.96 if trained else 0.9)}


@pytest.mark.parametrize(
    ("identity", "tables", "worst"), [("V1", v1, [-0.008, -0.008, 0.008**2]), ("V2", v2, [0.96])]
)
def test_estimator(tmp_path, identity, tables, worst):
    def made(*shown, slugs=TRAINED, **more):
        return verdict(identity, make_evidence(tmp_path, tables(*shown), slugs, **more))

    found = made(True, True, False)
    assert found.word.startswith("holds") and values(found) == worst
    assert found.lines[0].control is None
    assert made(False, False, False).word == "does not hold"
    assert made(True, False, False, accuracy={TRAINED[0]: 0.1}).word == "out of reach"
    assert verdict(identity, make_evidence(tmp_path, {}, TRAINED)).word == "not run"


@pytest.mark.parametrize(("identity", "check"), [("V1", "batch_size"), ("V2", "image_source")])
def test_an_estimate_that_is_undefined_does_not_pass(tmp_path, identity, check):
    for values_found in ((1.0, np.nan), (np.nan,)):
        parts = [estimates(TRAINED[0], check, *values_found)]
        if identity == "V1":
            parts.append(estimates(TRAINED[0], "batch_size_square", *values_found))
        tables = {"estimator.csv": pd.concat(parts)}
        assert verdict(identity, make_evidence(tmp_path, tables)).word == "undecided"


def test_checks_that_were_not_made_are_named(tmp_path):
    one, other = (make_evidence(tmp_path / n, t(1, 1, 0)) for n, t in (("1", v1), ("2", v2)))
    assert verdict("V2", one).because == "needs a task of domain in under transfer"
    assert verdict("V1", other).because.startswith("needs larger minibatches")


def test_every_model_is_a_case_of_v1(tmp_path):
    parts = [
        estimates(slug, check, value)
        for slug, change in zip(TRAINED, (0.001, 0.1), strict=True)
        for check, value in (("batch_size", change), ("batch_size_square", change**2))
    ]
    found = verdict("V1", make_evidence(tmp_path, {"estimator.csv": pd.concat(parts)}))
    assert found.word == "depends on the architecture"
    assert "by itself: holds for VIT; fails for RESNET (mean change, mean square" in found.because


@pytest.mark.parametrize(("identity", "check"), [("V1", "batch_size"), ("V2", "image_source")])
def test_intervals_of_the_estimator_are_over_images_and_of_a_mean_over_networks(
    tmp_path, identity, check
):
    """Seeds have no part in them: networks have one here, and the verdict is none of one run."""
    parts = [
        estimates(slug, own, value)
        for slug, value in zip(TRAINED, (0.996, 0.99), strict=True)
        for own in (check, f"{check}_square")
    ]
    found = verdict(identity, make_evidence(tmp_path, {"estimator.csv": pd.concat(parts)}))
    over = {line.case: line.over for line in found.lines}
    assert over == {"VIT": "images", "RESNET": "images", "mean of 2": "images and networks"}
    assert found.word != "one run" and "no untrained control" not in found.because


def test_v1_asks_for_equivalence_not_for_a_difference_that_is_not_found(tmp_path):
    """An interval that reaches beyond the margin says nothing, though it covers 0."""
    rows = [of(TRAINED[0]) | {"check": "batch_size", "source": "32 images", "value": 0.001}]
    table = with_replicates(rows, "value", 0.004)
    still = with_replicates([rows[0] | {"check": "batch_size_square", "value": 0.0}], "value")
    found = verdict("V1", make_evidence(tmp_path, {"estimator.csv": pd.concat([table, still])}))
    assert found.word == "undecided" and "mean change" in found.because


def test_v1_before_it_was_amended(tmp_path):
    found = judge(claim("V1").former, make_evidence(tmp_path, v1(True, True, False)))
    assert found.word == "does not hold" and values(found) == [0.05]
