"""Accuracy of every network, beside chance: what its representations are worth."""

from typing import Any

import pandas as pd

from sightlines.dumps.predictions_reading import PredictionsDump
from sightlines.measures.scoring import Scored, score
from sightlines.plan.networks import Network
from sightlines.stats.classification import reliability

READS = ("predictions", "card.json")
ENTRIES = {"card.json": ("parameters",)}
"""What each file must say."""
TABLES = {
    "accuracy.csv": {
        "about": "Accuracy of every network, beside chance",
        "row": "network",
        "columns": (
            "network",
            ("train_images", "int", "images", "training images"),
            ("steps", "int", "", "optimiser steps"),
            ("parameters", "int", "", "parameters"),
            (
                "accuracy_train",
                "float",
                "share",
                "accuracy on some of the training images; none of an untrained network",
            ),
            (
                "accuracy_validation",
                "float",
                "share",
                "accuracy on validation images; none of an untrained network",
            ),
            (
                "accuracy_test",
                "float",
                "share",
                "accuracy on test images; none where it is not known which outputs stand for the "
                "images' classes",
            ),
            (
                "loss_test",
                "float",
                "nats",
                "mean negative log-likelihood (cross entropy) of test images",
            ),
            "chance",
            ("times_chance", "float", "", "accuracy on test images ÷ chance"),
            ("test_images", "int", "images", "test images"),
            (
                "accuracy_all",
                "float",
                "share",
                "accuracy over all outputs on all images of an imported network, which was "
                "trained on none of them here",
            ),
            ("all_images", "float", "images", "their number"),
            (
                "accuracy_top5_test",
                "float",
                "share",
                "test images whose class is among the five most probable outputs; none where there "
                "are five or fewer",
            ),
            (
                "ece_test",
                "float",
                "share",
                "expected calibration error on test images, in 15 bins of equal width (Guo et al. "
                "2017)",
            ),
            ("class_order", "text", "", "which outputs stand for which classes", "optional"),
            ("class_order_note", "text", "", "how that is known", "optional"),
            ("weights_note", "text", "", "how weights were read", "optional"),
        ),
    },
}
REMARKS = ("class_order", "class_order_note", "weights_note")
"""What is said of imported networks alone."""
TOP = 5
"""Places of `accuracy_top5_test`."""


def measure(
    predictions: list[PredictionsDump], card: dict[Network, dict[str, Any]]
) -> dict[str, Any]:
    """Score every network.

    Args:
        predictions: Of each network.
        card: What stands beside its weights.
    """
    return {"accuracy.csv": pd.DataFrame([row(own, card[own.network]) for own in predictions])}


def row(dump: PredictionsDump, card: dict[str, Any]) -> dict[str, Any]:
    """One network's row; with REMARKS where its card has them."""
    found = {s: score(dump, s) for s in dump.images} if len(dump.answers) else {}
    accuracy = {subset: scored.accuracy for subset, scored in found.items()}
    if dump.is_imported and "validation" in accuracy:
        accuracy.setdefault("train", accuracy["validation"])  # there are no other images
    test = found.get("test")
    has_top = test is not None and dump.outputs > TOP
    return {
        **dump.network._asdict(),
        "train_images": dump.train_images,
        "steps": card.get("steps", 0),
        "parameters": card["parameters"],
        **{f"accuracy_{s}": accuracy.get(s) for s in ("train", "validation", "test")},
        "loss_test": None if test is None else test.answers.loss.mean(),
        "chance": dump.chance,
        "times_chance": None if test is None else test.accuracy / dump.chance,
        "test_images": dump.images["test"],
        **_everywhere(dump, found),
        "accuracy_top5_test": found["test"].within(TOP) if has_top else None,
        "ece_test": None if test is None else _calibration_error(test),
        **{name: card[name] for name in REMARKS if name in card},
    }


def _calibration_error(scored: Scored) -> float:
    return reliability(scored.answers.confidence, scored.is_right).calibration_error()


def _everywhere(dump: PredictionsDump, found: dict[str, Scored]) -> dict[str, Any]:
    """Accuracy on all images, of an imported network that was shown them all."""
    if not dump.is_imported:
        return {"accuracy_all": None, "all_images": None}
    if "validation" not in found:
        return {"accuracy_all": None, "all_images": 0}
    images = sum(dump.images.values())
    right = sum(int(scored.is_right.sum()) for scored in found.values())
    return {"accuracy_all": right / images, "all_images": images}
