"""How sure networks are of images, their own or foreign ones: the largest probability.

One file a network: `confidence` float32 [images], the largest softmax probability over all outputs,
of the first test images in the order of `dumps.predictions`. Of other tasks the images are foreign;
what they show is not asked.
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
from sightlines.dumps.responses import walk_of

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
    hashes = shown.splits.meta["hashes"]
    meta = {
        "network": list(shown.network),
        "outputs": len(shown.card["classes"]),
        "images": walk.count,
        "splits_sha256": {"test": hashes["test"]},
    }

    @contextlib.contextmanager
    def watch(minibatch: Minibatch, images: torch.Tensor) -> Iterator[Rows]:
        del images
        rows: Rows = {}

        def keep(model: torch.nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> None:
            del model, arguments
            rows["confidence"] = _largest(shown, output[: minibatch.kept])

        handle = shown.model.register_forward_hook(keep)
        try:
            yield rows
        finally:
            handle.remove()

    return Watched(
        shapes={"confidence": ("F32", (walk.count,))},
        meta=meta,
        minibatches=cut([walk], shown.batch_size),
        watch=watch,
    )


def _largest(shown: Shown, outputs: torch.Tensor) -> np.ndarray:
    logits = outputs.double().cpu()
    if not bool(torch.isfinite(logits).all()):
        raise ResultError(
            f"outputs of {shown.network.slug} are not finite: its training has diverged; lower "
            "train.learning_rate, or lengthen train.warmup_steps"
        )
    found: np.ndarray = logits.softmax(dim=1).amax(dim=1).float().numpy()
    return found
