"""How sure networks are of images, their own or foreign ones: the largest probability.

One file a network: `confidence` float32 [images], the largest softmax probability over all outputs,
of the first test images in the order of `dumps.predictions`. Of other tasks the images are foreign.
Where each of the images' classes is the name of one output (ImageNet-A, -R, Sketch, CIFAR-10-C),
there are also `right` uint8 [images], whether the most probable output is that of the class, and
`right_among`, whether it is among the classes' outputs.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.dumps.labelled import cut
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.passes import Rows, Watched
from sightlines.dumps.predictions import is_imported
from sightlines.dumps.responses import walk_of
from sightlines.training.class_order import by_names

KIND = "confidences"
READER = "sightlines.dumps.confidences_reading:ConfidencesDump"
NETWORKS = "compared"
TRANSFER = ("shown",)
SPLITS = "splits"
PASS = "labelled"
USES = ("seed",)
CONDITIONS = "foreign"
"""The block of the config's `conditions` whose settings these are."""


def record(shown: Shown, seed: int, conditions: dict[str, Any]) -> Watched:
    """The largest probability for each image.

    Args:
        shown: The network.
        seed: The experiment's root seed.
        conditions: How many `images` are shown.

    Raises:
        ResultError: the outputs are not finite.
    """
    walk = walk_of(shown, seed, conditions["images"])
    labels = np.array(shown.images.labels(walk.split))
    answers = np.array(_answers(shown), np.int64)
    hashes = shown.splits.meta["hashes"]
    shapes = {"confidence": ("F32", (walk.count,))}
    if len(answers):
        shapes |= {name: ("U8", (walk.count,)) for name in ("right", "right_among")}
    meta = {
        "network": list(shown.network),
        "outputs": len(shown.card["classes"]),
        "images": walk.count,
        "is_scored": bool(len(answers)),
        "splits_sha256": {"test": hashes["test"]},
    }

    @contextlib.contextmanager
    def watch(minibatch: Minibatch, images: torch.Tensor) -> Iterator[Rows]:
        del images
        rows: Rows = {}

        def keep(model: torch.nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> None:
            del model, arguments
            logits = _finite(shown, output[: minibatch.kept])
            rows["confidence"] = logits.softmax(dim=1).amax(dim=1).float().numpy()
            if len(answers):
                own = labels[minibatch.images[: minibatch.kept]]
                outputs = logits.numpy()
                right = outputs.argmax(axis=1) == answers[own]
                among = outputs[:, answers].argmax(axis=1) == own
                rows["right"], rows["right_among"] = right.astype("u1"), among.astype("u1")

        handle = shown.model.register_forward_hook(keep)
        try:
            yield rows
        finally:
            handle.remove()

    return Watched(
        shapes=shapes,
        meta=meta,
        minibatches=cut([walk], shown.batch_size),
        watch=watch,
    )


def _answers(shown: Shown) -> list[int]:
    """The output that has the name of each class of the images; empty where one has none."""
    classes = [str(name) for name in shown.images.classes]
    outputs = [str(name) for name in shown.card["classes"]]
    if is_imported(shown.card):
        return by_names(classes, outputs)
    place = {name: index for index, name in enumerate(outputs)}
    return [place[name] for name in classes] if {*classes} <= {*outputs} else []


def _finite(shown: Shown, outputs: torch.Tensor) -> torch.Tensor:
    logits = outputs.double().cpu()
    if not bool(torch.isfinite(logits).all()):
        raise ResultError(
            f"outputs of {shown.network.slug} are not finite: its training has diverged; lower "
            "train.learning_rate, or lengthen train.warmup_steps"
        )
    return logits
