"""Shape bias and errors by dose, out of answers that are made up."""

import numpy as np
import pandas as pd
import pytest

from sightlines.core.files import write_tensors
from sightlines.dumps.conflicts_reading import ConflictsDump
from sightlines.dumps.responses import response_shapes
from sightlines.dumps.responses_reading import ResponsesDump
from sightlines.measures import texture_match

SEED, IMAGES, CLASSES = 3, 60, 4
TRANSFER = {f"match_{t}": {"dataset": {"texture_match": t / 100}} for t in (10, 90)}


def conflicts(folder, by_shape, network=("vit", "f100", "s0")):
    """Answers that name the outline for so many images, and the surface for the others."""
    shape = np.arange(IMAGES) % CLASSES
    texture = (shape + 1) % CLASSES
    taken = np.where(np.arange(IMAGES) < by_shape, shape, texture)
    tensors = {"logits.conflict": np.eye(CLASSES, dtype=np.float32)[taken] * 9}
    tensors |= {"shape.conflict": shape, "texture.conflict": texture}
    names = [f"c{i}" for i in range(CLASSES)]
    meta = {"network": list(network), "outputs": names, "answers": [*range(CLASSES)]}
    meta |= {"classes": names, "categories": names, "subsets": ["conflict"], "cue_match": 1.0}
    write_tensors(folder, tensors, meta | {"is_generated": True})
    return ConflictsDump(folder)


def corruptions(folder, wrong, network=("vit", "f100", "s0")):
    """Wrong answers to so many images: clean, and under two severities of fog."""
    labels = np.arange(IMAGES) % CLASSES
    tensors = {}
    for name, (dtype, shape) in response_shapes(IMAGES, 2, ["last"], True).items():
        tensors[name] = np.zeros(
            shape, {"I32": np.int32, "F32": np.float32, "I64": np.int64}[dtype]
        )
    off = np.array([[place < count for count in wrong] for place in range(IMAGES)])
    tensors["prediction"][:] = (labels[:, None] + off) % CLASSES
    tensors["among"][:] = tensors["prediction"]
    tensors["labels"][:] = labels
    meta = {"network": list(network), "conditions": [["fog", 1.0], ["fog", 5.0]]}
    meta |= {"classes": CLASSES, "outputs": CLASSES, "answers": [*range(CLASSES)]}
    meta |= {"places": ["last"], "images": IMAGES, "grid": [2, 2], "positions": True}
    write_tensors(folder, tensors, meta | {"splits_sha256": {}})
    return ResponsesDump(folder)


def test_bias_and_error_of_each_dose(tmp_path):
    found = texture_match.measure(
        {
            "match_10": [conflicts(tmp_path / "a", 45)],
            "match_90": [conflicts(tmp_path / "b", 15)],
        },
        {
            "match_10": [corruptions(tmp_path / "c", (6, 12, 36))],
            "match_90": [corruptions(tmp_path / "d", (3, 6, 12))],
        },
        SEED,
        TRANSFER,
    )
    table = pd.concat(found["texture_match.csv"])
    whole = table[table["left_out"] == -1].set_index("texture_match")
    assert whole["bias"].to_dict() == pytest.approx({0.1: 0.75, 0.9: 0.25})
    assert whole["error"].to_dict() == pytest.approx({0.1: 24 / 60, 0.9: 9 / 60})
    assert whole["clean_error"].to_dict() == pytest.approx({0.1: 0.1, 0.9: 0.05})
    assert (whole["cue_accuracy"] == 1).all() and (whole["chance"] == 0.5).all()
    assert table["left_out"].nunique() == 21 and set(table["task"]) == {*TRANSFER}


def test_networks_without_both_dumps_are_left_out(tmp_path):
    other = ("resnet", "f100", "s0")
    found = texture_match.measure(
        {"match_10": [conflicts(tmp_path / "a", 45)]},
        {"match_10": [corruptions(tmp_path / "c", (6, 12, 36), other)]},
        SEED,
        TRANSFER,
    )
    assert found["texture_match.csv"] == []
