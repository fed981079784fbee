"""Accuracy of every network, beside chance: what its representations are worth."""

from typing import Any

import pandas as pd

from sightlines.plan.networks import Network

READS = ("metrics.json",)
ENTRIES = {
    "metrics.json": (
        "train_images",
        "steps",
        "parameters",
        "accuracy_train",
        "accuracy_validation",
        "accuracy_test",
        "loss_test",
        "chance",
        "confusion",
    ),
}
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
            ("accuracy_train", "float", "share", "accuracy on training images"),
            ("accuracy_validation", "float", "share", "accuracy on validation images"),
            (
                "accuracy_test",
                "float",
                "share",
                "accuracy on test images; none where it is not known which outputs stand for the "
                "images' classes",
            ),
            ("loss_test", "float", "nats", "mean cross entropy on test images"),
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
            ("class_order", "text", "", "which outputs stand for which classes", "optional"),
            ("class_order_note", "text", "", "how that is known", "optional"),
            ("weights_note", "text", "", "how weights were read", "optional"),
        ),
    },
}
REMARKS = ("class_order", "class_order_note", "weights_note")
"""What is said of imported networks alone."""


def measure(metrics: dict[Network, dict[str, Any]]) -> dict[str, Any]:
    """Gather the networks' final metrics into one table.

    Args:
        metrics: Of each network.
    """
    return {"accuracy.csv": pd.DataFrame([row(*own) for own in metrics.items()])}


def row(network: Network, metrics: dict[str, Any]) -> dict[str, Any]:
    """One network's row; with REMARKS where its metrics have them."""
    copied = [name for name in ENTRIES["metrics.json"] if name != "confusion"]
    accuracy = metrics["accuracy_test"]
    return {
        **network._asdict(),
        **{name: metrics[name] for name in copied},
        "times_chance": None if accuracy is None else accuracy / metrics["chance"],
        "test_images": sum(map(sum, metrics["confusion"])),
        **{name: metrics.get(name) for name in ("accuracy_all", "all_images")},
        **{name: metrics[name] for name in REMARKS if name in metrics},
    }
