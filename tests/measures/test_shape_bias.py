"""Shape bias: decisions by mean probabilities, counted by hand; what an untrained eye would see."""

import csv

import numpy as np
import pytest

from sightlines.core.files import write_tensors
from sightlines.dumps.conflicts_reading import ConflictsDump
from sightlines.measures import shape_bias

WORDS = ["cat", "dog", "car"]


def dump(folder, logits, shape, texture, name="vit", **meta):
    """A dump of three categories whose classes are the network's outputs."""
    facts = {"network": [name, "f100", "s0"], "outputs": WORDS, "answers": [0, 1, 2]}
    facts |= {"classes": WORDS, "categories": WORDS, "subsets": ["conflict"], "cue_match": 1.0}
    facts |= {"is_generated": True} | meta
    tensors = {
        "logits.conflict": np.asarray(logits, np.float32),
        "shape.conflict": np.asarray(shape, np.int64),
        "texture.conflict": np.asarray(texture, np.int64),
    }
    write_tensors(folder / f"{name}.safetensors", tensors, facts)
    return ConflictsDump(folder / f"{name}.safetensors")


def answering(words, count=3):
    """Logits of a network that is sure of these categories."""
    return 9.0 * np.eye(count)[np.asarray(words)]


def whole(table, category="all"):
    return table[(table["category"] == category) & (table["left_out"] == -1)].iloc[0]


def test_bias_is_counted_over_images_whose_cues_differ(tmp_path):
    shape = [0, 0, 0, 1, 1, 2, 2, 2]
    texture = [1, 2, 1, 0, 2, 2, 0, 1]
    chosen = [0, 0, 1, 0, 0, 2, 2, 0]  # shape, shape, texture, texture, neither, same, shape, no
    found = dump(tmp_path, answering(chosen), shape, texture)
    (table,) = shape_bias.measure([found], seed=0)["shape_bias.csv"]
    row = whole(table)
    assert row["images"] == 7
    assert row["bias"] == 3 / 5 and row["cue_accuracy"] == 5 / 7
    assert row["shape_share"] == 3 / 7 and row["texture_share"] == 2 / 7
    assert row["chance"] == 2 / 3 and row["cue_match"] == 1 and np.isnan(row["silhouettes"])
    assert whole(table, "cat")["bias"] == 2 / 3 and whole(table, "dog")["bias"] == 0
    assert whole(table, "car")["bias"] == 1
    assert row["class_mean"] == pytest.approx((2 / 3 + 0 + 1) / 3)


def test_replicates_are_the_counts_without_a_group_of_images(tmp_path):
    rng = np.random.default_rng(3)
    shape = rng.integers(0, 3, 120)
    texture = (shape + 1 + rng.integers(0, 2, 120)) % 3
    chosen = rng.integers(0, 3, 120)
    found = dump(tmp_path, answering(chosen), shape, texture)
    (table,) = shape_bias.measure([found], seed=5)["shape_bias.csv"]
    rows = table[table["category"] == "all"].sort_values("left_out")
    groups = shape_bias.groups_of(120, 5, "conflicts")
    assert rows["left_out"].tolist() == [*range(-1, 20)]
    for group, bias in zip(range(20), rows["bias"][1:], strict=True):
        kept = groups != group
        s, t = ((chosen == cue)[kept].sum() for cue in (shape, texture))
        assert bias == s / (s + t)


def test_a_constant_answer_has_a_bias_of_a_half_and_little_cue_accuracy(tmp_path):
    shape, texture = np.divmod(np.arange(90), 9)
    texture = (shape + 1 + texture) % 10
    names = [f"c{i}" for i in range(10)]
    meta = {"outputs": names, "categories": names, "answers": [*range(10)], "classes": names}
    found = dump(tmp_path, answering([4] * 90, 10), shape, texture, **meta)
    row = whole(shape_bias.measure([found], seed=0)["shape_bias.csv"][0])
    assert row["bias"] == 0.5 and row["cue_accuracy"] == row["chance"] == 0.2


def test_a_decision_is_the_highest_mean_probability_of_a_category():
    """Not of the largest, and not of the sum: many poor outputs do not outvote one good one."""
    probability = np.array([[0.3, 0.1, 0.1, 0.1, 0.4], [0.1, 0.6, 0.01, 0.01, 0.28]])
    members = [[0], [1, 2, 3], [4]]
    assert shape_bias.decisions(np.log(probability), members).tolist() == [2, 2]
    assert shape_bias.decisions(np.log(probability[:, [1, 0, 2, 3, 4]]), members).tolist() == [2, 0]
    shifted = np.log(probability) + 700.0
    assert shape_bias.decisions(shifted, members).tolist() == [2, 2], "in exact arithmetic the same"


def test_the_sixteen_categories_share_no_class_and_are_imagenets():
    known = shape_bias.wordnet_categories()
    assert len(known) == 16 and {"cat", "dog", "truck", "airplane"} <= known.keys()
    every = [wordnet for own in known.values() for wordnet in own]
    assert len(every) == len(set(every)) == 207
    assert all(len(w) == 9 and w[0] == "n" and w[1:].isdigit() for w in every)
    with shape_bias.CATEGORIES.open() as file:
        assert next(csv.reader(file)) == ["category", "wordnet_id"]


def test_outputs_of_imagenet_networks_are_found_by_their_wordnet_ids(tmp_path):
    known = {"cat": ["n1", "n2"], "dog": ["n3"]}

    def outputs(*names):
        own = {"is_generated": False, "categories": ["cat", "dog"], "answers": []}
        logits = np.zeros((1, len(names)))
        one = dump(tmp_path, logits, [0], [1], "_".join(names), outputs=[*names], **own)
        return shape_bias.outputs_of(one, known)

    assert outputs("n3", "n9", "n2", "n1") == {"cat": [3, 2], "dog": [0]}
    assert outputs("cat", "dog") == {"cat": [0], "dog": [1]}, "trained here"
    assert outputs("cat", "ship") == {"cat": [0], "dog": []}


def test_a_network_that_knows_no_category_has_no_rows_and_is_named(tmp_path, caplog):
    rows = answering([0, 1, 2])
    lost = dump(tmp_path, rows, [0, 1, 2], [1, 2, 0], is_generated=False, outputs=["a", "b", "c"])
    assert shape_bias.measure([lost], seed=0)["shape_bias.csv"] == []
    assert "no shape bias of vit/f100/s0" in caplog.text and "cat, dog, car" in caplog.text
