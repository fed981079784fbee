"""Predictions on disk, as `dumps/predictions.py` writes them."""

import numpy as np

from sightlines.core.files import write_tensors
from sightlines.dumps.predictions_reading import PredictionsDump


def make_predictions(
    path, network=("vit", "f100", "s0"), classes=3, outputs=None, answers=None, seed=1, **more
):
    """A dump of random outputs; `images`, `labels` and `logits` (of test images) may be given.

    Returns:
        Its reader.
    """
    outputs = classes if outputs is None else outputs
    answers = [*range(classes)] if answers is None else answers
    images = more.get("images", {"test": 12, "validation": 5, "train": 7})
    draw = np.random.default_rng(seed)
    tensors = {}
    for subset, count in images.items():
        if answers:
            tensors[f"logits.{subset}"] = draw.normal(0, 2, (count, outputs)).astype(np.float32)
        tensors[f"labels.{subset}"] = draw.integers(max(classes, 1), size=count)
    for name in ("logits", "labels"):
        if name in more:
            tensors[f"{name}.test"] = more[name]
    meta = {
        "network": list(network),
        "classes": [f"class{i}" for i in range(classes)],
        "outputs": outputs,
        "answers": answers,
        "images": images,
        "train_images": more.get("train_images", 40),
        "is_imported": more.get("is_imported", False),
        "splits_sha256": {"test": "0"},
    }
    write_tensors(path, tensors, meta)
    return PredictionsDump(path)
