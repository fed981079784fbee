"""Corruptions, waves, squares, foreign images and grounds: through dumps into tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sightlines.conditions import corruption as corruptions_of
from sightlines.core.files import sha256, write_json, write_npy, write_table, write_tensor_file
from sightlines.datasets import store
from sightlines.datasets.reading import normalise
from sightlines.dumps import backgrounds, confidences, corruptions, cutouts, frequencies
from sightlines.dumps.backgrounds_reading import BackgroundsDump
from sightlines.dumps.confidences_reading import ConfidencesDump
from sightlines.dumps.frequencies_reading import FrequenciesDump
from sightlines.dumps.passes import alone
from sightlines.dumps.responses_reading import ResponsesDump
from sightlines.measures import backgrounds as background_measure
from sightlines.measures import corruption, cutout, foreign, frequency
from sightlines.models import building
from sightlines.stats.detection import average_precision
from tests.dumps import making_experiments as making
from tests.dumps.test_predictions import with_head

SEED, IMAGES = 5, 40


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    dataset = making.make_dataset(folder / "data")
    making.make_splits(dataset, folder / "splits.safetensors")
    making.make_network(folder / "net", making.VIT, dataset, change=with_head)
    return making.open_shown(folder / "net", dataset, folder / "splits.safetensors")


def dumped(folder, content, reader):
    path = folder / "dump.safetensors"
    write_tensor_file(path, content)
    return reader(path)


def joined(table):
    return pd.concat(list(table), ignore_index=True)


def answers(shown, images):
    with torch.inference_mode():
        pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        return shown.model(normalise(pixels, shown.card["mean"], shown.card["std"])).numpy()


def test_errors_under_corruption_are_those_of_the_corrupted_images(tmp_path, shown):
    settings = {"names": ["fog", "contrast", "speckle_noise"], "severities": [1, 5]}
    content = corruptions.record(shown, SEED, settings | {"images": IMAGES})
    dump = dumped(tmp_path, content, ResponsesDump)
    found = corruption.measure([dump], SEED)
    table, errors = (joined(found[n]) for n in ("corruption.parquet", "corruption_error.csv"))
    every = np.load(shown.images.path.parent / "test_images.npy")
    walk = np.array([i for i in responses_order(shown)])
    labels = shown.images.labels("test")[walk]
    wrong = {}
    for name in settings["names"]:
        for severity in settings["severities"]:
            changed = corruptions_of.corrupt(every[walk], walk, SEED, name=name, severity=severity)
            wrong[name, severity] = (answers(shown, changed).argmax(1) != labels).mean()
    clean = (answers(shown, every[walk]).argmax(1) != labels).mean()
    whole = table[table["left_out"] == -1].set_index(["condition", "severity"])
    for (name, severity), error in wrong.items():
        assert 1 - whole.loc[(name, float(severity)), "accuracy"] == pytest.approx(error)
    own = errors.set_index("corruption")
    of_fog = (wrong["fog", 1] + wrong["fog", 5]) / 2
    of_contrast = (wrong["contrast", 1] + wrong["contrast", 5]) / 2
    assert own.loc["fog", "error"] == pytest.approx(of_fog)
    assert own.loc["mean", "error"] == pytest.approx((of_fog + of_contrast) / 2), "no extras"
    assert own.loc["mean", "excess"] == pytest.approx((of_fog + of_contrast) / 2 - clean)
    assert list(own.loc["mean", ["corruptions", "severities"]]) == [2, 2]
    assert own["ce"].isna().all(), "three outputs are not ImageNet's"
    replicates = corruption.excess(table)
    assert replicates[0] == pytest.approx(own.loc["mean", "excess"]) and len(replicates) == 21


def responses_order(shown):
    from sightlines.dumps.responses import walk_of

    return walk_of(shown, SEED, IMAGES).kept


def test_ce_is_over_alexnets_errors_and_relative_ce_over_their_rise():
    conditions = [(name, float(s)) for name in corruption.NAMES for s in (1, 2, 3, 4, 5)]
    rows = [
        {"condition": name, "severity": severity, "left_out": left_out, "accuracy": accuracy}
        for left_out in (-1, 0, 1)
        for name, severity, accuracy in [
            ("clean", 0.0, 0.7),
            *((n, s, 1 - corruption.ALEXNET[n] * 0.5) for n, s in conditions),
        ]
    ]
    found = pd.DataFrame(corruption.errors_of(pd.DataFrame(rows), 1000)).set_index("corruption")
    assert np.allclose(found["ce"], 0.5), "half of AlexNet's everywhere"
    fog = corruption.ALEXNET["fog"]
    assert found.loc["fog", "relative_ce"] == pytest.approx((fog / 2 - 0.3) / (fog - 0.4348))
    assert found.loc["mean", "corruptions"] == 14


@pytest.mark.whole
def test_waves_have_their_norm_and_their_place(tmp_path, shown):
    settings = {"frequencies": "all", "norm": 1.5, "cells": 2, "images": IMAGES}
    dump = dumped(tmp_path, frequencies.record(shown, SEED, settings), FrequenciesDump)
    found = frequency.measure([dump], SEED)
    table, grid = (joined(found[n]) for n in ("frequency.parquet", "frequency_grid.csv"))
    whole = table[table["left_out"] == -1]
    assert len(whole) == (8 * 8 - 4) // 2 + 3 and set(whole["of_map"]) == {1}
    assert (whole["realised_norm"] < 1.5).all() and (whole["realised_norm"] > 0.5).all()
    assert (whole["norm"] == 1.5).all()
    grids = whole[whole["on_grid"] == 1]
    assert {(int(a), int(b)) for a, b in zip(grids["down"], grids["right"], strict=True)} == {
        *((0, 2), (0, 4), (2, 0), (4, 0), (2, 2), (-2, 2), (2, 4), (4, 2), (4, 4))
    }
    assert np.allclose(
        table["excess"] - table["error"], (table["excess"] - table["error"]).mean(), atol=0.1
    )
    assert list(grid["left_out"]) == list(range(-1, 20)) and set(grid["frequencies"]) == {9}
    assert set(grid["cells"]) == {2} and set(grid["grid"]) == {dump.grid[0]}


def test_squares_cover_what_the_table_says(tmp_path, shown):
    settings = {"shares": [0.25, 0.5], "mean_shares": [0.5], "images": IMAGES}
    dump = dumped(tmp_path, cutouts.record(shown, SEED, settings), ResponsesDump)
    table = joined(cutout.measure([dump], SEED)["cutout.parquet"])
    whole = table[table["left_out"] == -1].set_index(["condition", "severity"])
    for share in (0.25, 0.5):
        assert whole.loc[("cutout_black", share), "changed_share"] == pytest.approx(share, abs=0.05)
    assert whole.loc[("clean", 0.0), "changed_share"] == 0


def test_confidences_are_largest_probabilities_and_classes_are_told_by_name(tmp_path, shown):
    watched = confidences.record(shown, SEED, {"images": IMAGES})
    dump = dumped(tmp_path, alone(shown, watched), ConfidencesDump)
    walk = responses_order(shown)
    images = np.load(shown.images.path.parent / "test_images.npy")[walk]
    logits = answers(shown, images).astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(dump.confidence, chances.max(axis=1), atol=1e-5)
    right = logits.argmax(1) == shown.images.labels("test")[walk]
    assert np.array_equal(dump.right, right) and np.array_equal(dump.right_among, right)
    shown.card["classes"] = ["x", *shown.card["classes"][1:]]
    other = dumped(
        tmp_path, alone(shown, confidences.record(shown, SEED, {"images": 7})), ConfidencesDump
    )
    shown.card["classes"] = ["c0", *shown.card["classes"][1:]]
    assert other.right is None and other.images == 7
    table = joined(foreign.measure([dump], {"far": [other]}, SEED)["foreign.csv"])
    assert len(table) == 8, "as many groups as the smaller set has images"
    row = table[table["left_out"] == -1].iloc[0]
    scores = -np.concatenate([dump.confidence, other.confidence]).astype(np.float64)
    positive = np.repeat([False, True], [IMAGES, 7])
    assert row["aupr"] == pytest.approx(average_precision(scores, positive))
    assert row["base_rate"] == pytest.approx(7 / 47) and np.isnan(row["accuracy"])
    again = joined(foreign.measure([dump], {"own": [dump]}, SEED)["foreign.csv"]).iloc[0]
    assert again["accuracy"] == pytest.approx(right.mean()) and again["aupr"] == pytest.approx(
        0.5, abs=0.15
    )


def test_of_more_outputs_than_classes_answers_are_right_over_all_and_among_these(tmp_path, shown):
    """As of ImageNet-A and -R, whose 200 classes are some of 1,000 outputs."""
    model = building.build(making.VIT, 8, 5, 3).eval()
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    card = shown.card | {"classes": ["x", "c2", "c0", "c1", "y"]}
    wider, places = replace(shown, model=model, card=card), np.array([2, 3, 1])
    watched = confidences.record(wider, SEED, {"images": IMAGES})
    dump = dumped(tmp_path, alone(wider, watched), ConfidencesDump)
    walk = responses_order(shown)
    logits = answers(wider, np.load(shown.images.path.parent / "test_images.npy")[walk])
    labels = shown.images.labels("test")[walk]
    assert np.array_equal(dump.right, logits.argmax(1) == places[labels])
    assert np.array_equal(dump.right_among, logits[:, places].argmax(1) == labels)
    table = joined(foreign.measure([dump], {"own": [dump]}, SEED)["foreign.csv"]).iloc[0]
    assert table["accuracy"] == dump.right.mean() < table["accuracy_among"]
    assert table["accuracy_among"] == pytest.approx(dump.right_among.mean())


def test_grounds_of_the_own_class_and_of_others(tmp_path, shown):
    folder, draws = shown.images.path.parent, np.random.Generator(np.random.Philox(0))
    labels = np.arange(30) % 3
    right = {}
    for subset in backgrounds.SUBSETS:
        images = draws.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
        write_npy(folder / f"{subset}_images.npy", images)
        write_table(folder / f"{subset}_truth.parquet", pd.DataFrame({"label": labels}))
        right[subset] = answers(shown, images).argmax(1) == labels
    facts = store.read_dataset(shown.images.path)
    names = [f"{s}_{w}" for s in backgrounds.SUBSETS for w in ("images.npy", "truth.parquet")]
    facts["files"] |= {name: sha256(folder / name) for name in names}
    shown.images.facts["files"] = facts["files"]
    write_json(shown.images.path, facts)
    dump = dumped(tmp_path, backgrounds.record(shown), BackgroundsDump)
    table = joined(background_measure.measure([dump], SEED)["backgrounds.csv"])
    whole = table[table["left_out"] == -1].iloc[0]
    assert whole["same"] == pytest.approx(right["mixed_same"].mean())
    assert whole["gap"] == pytest.approx(right["mixed_same"].mean() - right["mixed_rand"].mean())
    assert list(table["images"]) == [30, *[30 - size for size in np.bincount(np.arange(30) % 20)]]
