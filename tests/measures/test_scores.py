"""Scores of predictions, held against loops over the images."""

import numpy as np
import pandas as pd
import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader, write_tensors
from sightlines.dumps.predictions_reading import PredictionsDump
from sightlines.measures import accuracy, calibration, class_scores
from sightlines.plan.networks import Network
from sightlines.stats.classification import BINS
from tests.measures.predicting import make_predictions
from tests.rounding import rounded

CARD = {"parameters": 123, "steps": 40}
READ = {"class_order": "timm", "class_order_note": "by numbers, a", "weights_note": ""}


def tensors(dump, subset="test"):
    reader = TensorReader(dump.path)
    return np.array(reader[f"logits.{subset}"]), np.array(reader[f"labels.{subset}"])


def probabilities(logits):
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(axis=1, keepdims=True)


def loop_accuracy(dump, subset):
    logits, labels = tensors(dump, subset)
    hits = [row.argmax() == dump.answers[label] for row, label in zip(logits, labels, strict=True)]
    return sum(hits) / len(hits)


def test_accuracy_stands_beside_chance(tmp_path):
    dump = make_predictions(tmp_path / "p.safetensors", classes=10, train_images=70)
    found = accuracy.row(dump, CARD)
    assert list(found)[:6] == ["model", "fraction", "seed", "train_images", "steps", "parameters"]
    assert (found["train_images"], found["steps"], found["parameters"]) == (70, 40, 123)
    for subset in ("test", "validation", "train"):
        assert found[f"accuracy_{subset}"] == loop_accuracy(dump, subset)
    assert found["chance"] == 0.1 and found["test_images"] == 12
    assert found["times_chance"] == rounded(10 * found["accuracy_test"], terms=1, size=1)
    logits, labels = tensors(dump)
    own = probabilities(logits)[np.arange(12), labels]
    assert found["loss_test"] == rounded(-np.log(own).mean(), terms=12)
    first = [label in np.argsort(-row)[:5] for row, label in zip(logits, labels, strict=True)]
    assert found["accuracy_top5_test"] == sum(first) / 12 > found["accuracy_test"]
    assert found["accuracy_all"] is None and found["all_images"] is None


@pytest.mark.parametrize(("outputs", "is_known"), [(1, False), (3, False), (5, False), (6, True)])
def test_the_first_five_of_five_or_fewer_say_nothing(tmp_path, outputs, is_known):
    dump = make_predictions(tmp_path / "p.safetensors", classes=outputs)
    found = accuracy.row(dump, CARD)
    assert (found["accuracy_top5_test"] is not None) == is_known
    if outputs == 1:
        assert (found["accuracy_test"], found["loss_test"], found["ece_test"]) == (1, 0, 0)


def test_accuracy_of_an_imported_network_is_over_all_outputs_and_all_images(tmp_path):
    dump = make_predictions(
        tmp_path / "p.safetensors", outputs=8, answers=[6, 0, 3], train_images=0, is_imported=True
    )
    found = accuracy.row(dump, {"parameters": 9} | READ)
    right = sum(loop_accuracy(dump, subset) * n for subset, n in dump.images.items())
    assert found["all_images"] == 24 and found["steps"] == 0 and found["chance"] == 1 / 8
    assert found["accuracy_all"] == rounded(right / 24, terms=3)
    assert {name: found[name] for name in accuracy.REMARKS} == READ


def test_without_other_images_those_of_validation_stand_for_them(tmp_path):
    images = {"test": 12, "validation": 5}
    dump = make_predictions(tmp_path / "p.safetensors", images=images, is_imported=True)
    found = accuracy.row(dump, CARD)
    assert (
        found["accuracy_train"] == found["accuracy_validation"] == loop_accuracy(dump, "validation")
    )
    assert found["all_images"] == 17


def test_an_untrained_twin_is_scored_on_its_test_images_alone(tmp_path):
    dump = make_predictions(tmp_path / "p.safetensors", images={"test": 6}, is_imported=True)
    found = accuracy.row(dump, CARD)
    assert found["accuracy_test"] == loop_accuracy(dump, "test")
    assert found["accuracy_validation"] is found["accuracy_train"] is found["accuracy_all"] is None
    assert found["all_images"] == 0 and found["test_images"] == 6


def test_nothing_is_claimed_where_the_order_of_classes_is_undecided(tmp_path):
    images = {"test": 12}
    dump = make_predictions(
        tmp_path / "p.safetensors", outputs=8, answers=[], images=images, is_imported=True
    )
    found = accuracy.row(dump, CARD)
    claimed = [name for name in found if name.startswith(("accuracy", "loss", "ece", "times"))]
    assert len(claimed) == 8 and {found[name] for name in claimed} == {None}
    assert found["test_images"] == 12 and found["chance"] == 1 / 8
    assert class_scores.measure([dump]) == {"class_scores.csv": [], "confusion.parquet": []}
    assert calibration.measure([dump]) == {"calibration.csv": []}


def test_how_others_networks_were_read_has_columns_where_there_are_some(tmp_path):
    """Of networks that are all trained here the table is as it would be without."""
    own = make_predictions(tmp_path / "a.safetensors")
    other = make_predictions(tmp_path / "b.safetensors", ("net", "f100", "s0"), is_imported=True)
    cards = {own.network: CARD, other.network: CARD | READ}
    bare = accuracy.measure([own], cards)["accuracy.csv"]
    both = accuracy.measure([own, other], cards)["accuracy.csv"]
    assert {*both.columns} - {*bare.columns} == {*accuracy.REMARKS}
    assert both["class_order"].fillna("").tolist() == ["", "timm"]
    assert both["class_order_note"].iloc[1] == "by numbers, a"


def test_classes_and_what_they_are_taken_for(tmp_path):
    logits = np.zeros((6, 5), np.float32)
    for image, output in enumerate([4, 4, 1, 2, 1, 0]):
        logits[image, output] = 1 + image
    labels = np.array([0, 0, 0, 1, 1, 1])  # of class 2 there is none
    dump = make_predictions(
        tmp_path / "p.safetensors",
        outputs=5,
        answers=[4, 1, 3],
        images={"test": 6},
        logits=logits,
        labels=labels,
    )
    found = class_scores.measure([dump])
    (scores,), (confusion,) = found["class_scores.csv"], found["confusion.parquet"]
    assert scores["class_name"].tolist() == ["class0", "class1", "class2"]
    assert scores["images"].tolist() == [3, 3, 0] and scores["taken"].tolist() == [2, 2, 0]
    assert scores["recall"].tolist()[:2] == [2 / 3, 1 / 3] and np.isnan(scores["recall"][2])
    assert scores["precision"].tolist()[:2] == [1, 0.5] and np.isnan(scores["precision"][2])
    right = -np.log(probabilities(logits)[np.arange(6), np.array([4, 1, 3])[labels]])
    assert scores["loss"].tolist()[:2] == rounded([right[:3].mean(), right[3:].mean()], terms=5)
    cells = confusion[["class", "taken_for", "images"]].to_numpy().tolist()
    assert cells == [[0, 0, 2], [0, 1, 1], [1, 1, 1], [1, class_scores.NO_CLASS, 2]]


def test_calibration_has_a_row_for_each_bin(tmp_path):
    dump = make_predictions(tmp_path / "p.safetensors", classes=4)
    (table,) = calibration.measure([dump])["calibration.csv"]
    assert len(table) == BINS and table["images"].sum() == 12
    assert table["low"][0] == 0 and table["high"][14] == 1
    assert (table["low"][1:].to_numpy() == table["high"][:-1].to_numpy()).all()
    known = table[table["images"] > 0]
    assert ((known["low"] < known["confidence"]) & (known["confidence"] <= known["high"])).all()
    error = (known["images"] * (known["accuracy"] - known["confidence"]).abs()).sum() / 12
    assert accuracy.row(dump, CARD)["ece_test"] == rounded(error, terms=BINS)


def test_many_images_are_read_in_parts(tmp_path, monkeypatch):
    dump = make_predictions(tmp_path / "p.safetensors")
    whole = accuracy.row(dump, CARD)
    monkeypatch.setattr("sightlines.dumps.predictions_reading.MOST_NUMBERS", 7)
    assert [len(part) for part in dump.logits("test")] == [2] * 6
    assert accuracy.row(dump, CARD) == whole


def damaged(path, change):
    """The dump with one thing altered in its tensors or its description."""
    reader = TensorReader(path)
    parts = {name: np.array(reader[name]) for name in reader.names()}
    meta = dict(reader.meta)
    change(parts, meta)
    write_tensors(path, parts, meta)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t, m: m.pop("answers"), "lacks 'answers'"),
        (lambda t, m: m.update(answers=[0, 1]), "one of its outputs for each class"),
        (lambda t, m: m.update(answers=[0, 1, 3]), "one of its outputs for each class"),
        (lambda t, m: m.update(images={"validation": 5}), "no test images"),
        (lambda t, m: t.pop("logits.test"), r"logits\.test should be \(12, 3\)"),
        (lambda t, m: t.update({"labels.test": t["labels.test"][:4]}), r"labels\.test should be"),
        (lambda t, m: t["labels.test"].fill(3), "labels beyond its 3 classes"),
        (lambda t, m: t["logits.test"].fill(np.nan), r"logits\.test holds numbers .* not finite"),
    ],
)
def test_a_damaged_dump_is_refused(tmp_path, change, said):
    path = tmp_path / "p.safetensors"
    make_predictions(path)
    damaged(path, change)
    with pytest.raises(ResultError, match=rf"p\.safetensors: .*{said}.*Delete it"):
        accuracy.row(PredictionsDump(path), CARD)


def test_the_tables_hold_what_they_declare(tmp_path):
    dump = make_predictions(tmp_path / "p.safetensors")
    found = accuracy.measure([dump], {dump.network: CARD | READ})
    found |= class_scores.measure([dump]) | calibration.measure([dump])
    for module in (accuracy, class_scores, calibration):
        for name, declared in module.TABLES.items():
            table = found[name] if isinstance(found[name], pd.DataFrame) else found[name][0]
            columns = [c if isinstance(c, str) else c[0] for c in declared["columns"]]
            place = columns.index("network")
            columns[place : place + 1] = Network._fields
            assert {*table.columns} == {*columns}
