"""Means over corruptions that somebody else made."""

import numpy as np
import pandas as pd
import pytest

from sightlines.core.files import write_tensors
from sightlines.dumps.confidences_reading import ConfidencesDump
from sightlines.measures import stored_corruption
from sightlines.measures.corruption import ALEXNET
from sightlines.plan.conditions import stored_corruption as named

IMAGES, SEED = 40, 2


def dump(path, wrong, is_scored=True):
    right = (np.arange(IMAGES) >= wrong).astype(np.uint8)
    tensors = {"confidence": np.full(IMAGES, 0.5, np.float32)}
    tensors |= {"right": right, "right_among": right} if is_scored else {}
    meta = {"network": ["vit", "f100", "s0"], "images": IMAGES, "is_scored": is_scored}
    write_tensors(path, tensors, meta)
    return ConfidencesDump(path)


def measured(tmp_path, sets, **more):
    """Table of tasks: (settings, wrong answers)."""
    dumps = {f"t{i}": [dump(tmp_path / f"{i}", w, **more)] for i, (_, w) in enumerate(sets)}
    transfer = {f"t{i}": {"dataset": own} for i, (own, _) in enumerate(sets)}
    found = stored_corruption.measure(dumps, SEED, transfer)["stored_corruption.csv"]
    return pd.concat(found).set_index("corruption") if found else None


def folder(name, severity):
    return {"kind": "imagefolder", "folder": f"ImageNet-C/{name}/{severity}"}


def test_settings_say_which_corruption_a_task_is():
    assert named({"kind": "cifar10_c", "corruption": "fog", "severity": 3}) == ("fog", 3)
    assert named(folder("frost", 5)) == ("frost", 5)
    for other in ("fog", "ImageNet-C/fog", "fog/6", "rain/3", "3"):
        assert named({"kind": "imagefolder", "folder": other}) is None
    assert named({"kind": "textures"}) is None


def test_means_are_over_severities_then_corruptions(tmp_path):
    sets = [(folder("fog", s), 4 * s) for s in (1, 2, 3, 4, 5)]
    sets += [(folder("frost", s), 20) for s in (1, 2, 3, 4, 5)]
    sets += [(folder("speckle_noise", 1), 40), ({"kind": "textures"}, 40)]
    table = measured(tmp_path, sets)
    assert table["error"].to_dict() == pytest.approx(
        {"fog": 0.3, "frost": 0.5, "speckle_noise": 1.0, "mean": 0.4}
    )
    assert table["corruptions"].to_dict()["mean"] == 2 and table.loc["mean", "severities"] == 5
    ratios = {"fog": 0.3 / ALEXNET["fog"], "frost": 0.5 / 0.826572}
    assert table.loc["fog", "over_alexnet"] == pytest.approx(ratios["fog"])
    assert table.loc["mean", "over_alexnet"] == pytest.approx(np.mean([*ratios.values()]))
    assert np.isnan(table.loc["speckle_noise", "over_alexnet"])
    assert (table["error_se"].drop("speckle_noise") > 0).all() and (table["images"] == 40).all()


def test_without_all_severities_nothing_is_divided(tmp_path):
    table = measured(tmp_path, [(folder("fog", 3), 10), (folder("snow", 3), 20)])
    assert table.loc["mean", "error"] == pytest.approx(0.375)
    assert table["over_alexnet"].isna().all() and table.loc["mean", "severities"] == 1


def test_nor_of_cifar(tmp_path):
    sets = [({"kind": "cifar10_c", "corruption": "fog", "severity": s}, 8) for s in range(1, 6)]
    table = measured(tmp_path, sets)
    assert table.loc["mean", "error"] == pytest.approx(0.2)
    assert table["over_alexnet"].isna().all()


def test_networks_whose_answers_are_not_known_have_no_error(tmp_path):
    assert measured(tmp_path, [(folder("fog", 3), 10)], is_scored=False) is None
