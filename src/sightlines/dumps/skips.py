"""How much larger the skip connection is than the branch that is added to it, token by token.

Source: Raghu et al. 2021, section 6 and appendix E, Figures 7, E.1, E.2. One file a network. All
branches' tokens stand one after the other, `places`; per minibatch tensors [places] float64:
`ratio_sum.<minibatch>` (of ‖z‖/‖f(z)‖ over images), `ratio_median.…`, `cosine_sum.…` (of the cosine
of z and z + f(z)), and `ratio_images.…`, `cosine_images.…`, the images that these rest on. A branch
that is 0 for an image (a ResNet's before training: the scale of its last norm starts at 0) has no
ratio and is left out.
"""

from typing import Any

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorFile, TensorShapes
from sightlines.dumps.network import Shown
from sightlines.dumps.skips_reading import STATISTICS
from sightlines.models.attention import has_class_token, prefix_tokens
from sightlines.models.branches import Branch, capture_branches, find_branches, ratios_and_cosines

KIND = "skips"
READER = "sightlines.dumps.skips_reading:SkipsDump"
NETWORKS = "compared"
FAMILIES = "BRANCHES"
SPLITS = "reference"


def record(shown: Shown) -> TensorFile:
    """Stream the reference minibatches through the network and compare its branches with skips."""
    branches, blocks = find_branches(shown.model)
    meta = shown.describe() | describe_branches(shown, branches, blocks)
    kept = shown.each_minibatch(lambda images: minibatch_skips(shown, branches, images))
    return TensorFile(skip_shapes(meta), meta, kept)


def describe_branches(shown: Shown, branches: list[Branch], blocks: int) -> dict[str, Any]:
    """The dump's own facts: blocks, prefix tokens, and of every branch block, name and tokens.

    Raises:
        ResultError: the network has no branch with a skip connection that is known.
    """
    if not branches:
        raise ResultError(
            f"{shown.network.slug}: no block of this network adds a branch to a skip connection"
        )
    tokens: dict[int, int] = {}

    def note(index: int, skip: torch.Tensor, long: torch.Tensor) -> None:
        del long
        tokens[index] = skip[0, 0].numel() if skip.dim() == 4 else skip.shape[1]

    size = shown.card["size_px"]
    grey = torch.zeros(2, 3, size, size, device=shown.device)
    with torch.inference_mode(), capture_branches(shown.model, branches, note):
        shown.model(grey)
    return {
        "blocks": blocks,
        "prefix_tokens": prefix_tokens(shown.model),
        "class_token": has_class_token(shown.model),
        "branches": [
            {"block": branch.block, "branch": branch.name, "tokens": tokens[index]}
            for index, branch in enumerate(branches)
        ],
    }


def skip_shapes(meta: dict[str, Any]) -> TensorShapes:
    """The file's tensors, in order."""
    places = sum(row["tokens"] for row in meta["branches"])
    return {
        f"{name}.{index:03d}": ("F64", (places,))
        for index in range(len(meta["batch_sizes"]))
        for name in STATISTICS
    }


def minibatch_skips(
    shown: Shown, branches: list[Branch], images: torch.Tensor
) -> dict[str, np.ndarray]:
    """All statistics of one minibatch, each [places], formed while the network runs.

    Args:
        shown: The network.
        branches: From `find_branches`.
        images: Normalised pixels [n, 3, height, width].

    Raises:
        ResultError: activations are not finite.
    """
    found: list[dict[str, np.ndarray]] = [{} for _ in branches]

    def keep(index: int, skip: torch.Tensor, long: torch.Tensor) -> None:
        if not (_is_finite(skip) and _is_finite(long)):
            branch = branches[index]
            raise ResultError(
                f"the {branch.name} branch of block {branch.block} of {shown.network.slug}, or its "
                "skip connection, is not finite: its training has diverged; lower "
                "train.learning_rate, or lengthen train.warmup_steps"
            )
        ratio, cosine = ratios_and_cosines(skip, long)
        sums = (*_sum_of_defined(ratio), median_of_defined(ratio), *_sum_of_defined(cosine))
        found[index] = dict(zip(STATISTICS, sums, strict=True))

    with torch.inference_mode(), capture_branches(shown.model, branches, keep):
        shown.model(images)
    return {name: np.concatenate([own[name] for own in found]) for name in STATISTICS}


def _is_finite(values: torch.Tensor) -> bool:
    """Whether all are; the extremes say so ten times faster than a test of each."""
    low, high = values.aminmax()
    return bool(low.isfinite() & high.isfinite())


def _sum_of_defined(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum over images of what is not NaN, and the number of those images."""
    is_defined = np.isfinite(values)
    return np.where(is_defined, values, 0).sum(axis=0), is_defined.sum(axis=0).astype(np.float64)


def median_of_defined(values: np.ndarray) -> np.ndarray:
    """Median over images of what is not NaN; 0 where nothing is.

    Args:
        values: [n, tokens].
    """
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(values).sum(axis=0)
    middle = np.stack([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(values) - 1)])
    median = np.take_along_axis(ordered, middle, axis=0).mean(axis=0)
    return np.where(count > 0, median, 0.0)
