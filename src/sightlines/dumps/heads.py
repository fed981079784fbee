"""Gram matrices of every head of a ViT's first block: all that subsets of heads need.

Source: Raghu et al. 2021, section 4, Figure 5. A head's representation is its weighted values A·V,
before the output projection mixes heads, of all tokens. One file a network; per minibatch of n
images a tensor `gram.<minibatch>` [heads, n(n+1)/2] float32, packed as in the dump of layers. The
Gram of several heads side by side is the sum of theirs.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorShapes
from sightlines.dumps.gram_product import packed_gram
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.passes import Rows, Watched
from sightlines.models.attention import attention_modules

KIND = "heads"
READER = "sightlines.dumps.heads_reading:HeadsDump"
NETWORKS = "compared"
FAMILIES = "PLAIN_ATTENTION"
SPLITS = "reference"
PASS = "reference"
BLOCK = 0
"""The block whose heads are kept: the paper's first encoder block."""


def record(shown: Shown) -> Watched:
    """The Grams of the first block's heads for every reference minibatch."""
    module = first_attention(shown.model)
    meta = shown.describe() | {"block": BLOCK, "heads": int(module.num_heads)}

    @contextlib.contextmanager
    def watch(minibatch: Minibatch, images: torch.Tensor) -> Iterator[Rows]:
        del images
        rows: Rows = {}

        def keep(outputs: torch.Tensor) -> None:
            rows[f"gram.{minibatch.name}"] = packed_heads(shown, outputs)

        with capture_heads(module, keep):
            yield rows

    return Watched(
        shapes=head_shapes(meta),
        meta=meta,
        minibatches=shown.reference(),
        watch=watch,
        until=module.proj,
    )


def head_shapes(meta: dict[str, Any]) -> TensorShapes:
    """The file's tensors, in order."""
    return {
        f"gram.{index:03d}": ("F32", (meta["heads"], images * (images + 1) // 2))
        for index, images in enumerate(meta["batch_sizes"])
    }


def first_attention(model: torch.nn.Module) -> Any:
    """The attention module of the first block.

    Raises:
        ResultError: the network has no attention.
    """
    modules = attention_modules(model)
    if not modules:
        raise ResultError(f"{type(model).__name__} has no attention, so no heads to compare")
    return modules[BLOCK]


@contextlib.contextmanager
def capture_heads(module: Any, on_heads: Callable[[torch.Tensor], None]) -> Iterator[None]:
    """Hand what every head computes to `on_heads` while the block runs forward passes.

    It is taken where it enters the output projection, so fused attention stays on.

    Args:
        module: timm's `Attention`.
        on_heads: Receives A·V as [n, tokens, heads, features of a head].
    """

    def before(projection: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        del projection
        joined = arguments[0]
        on_heads(joined.reshape(*joined.shape[:2], module.num_heads, module.head_dim))

    handle = module.proj.register_forward_pre_hook(before)
    try:
        yield
    finally:
        handle.remove()


def packed_heads(shown: Shown, outputs: torch.Tensor) -> np.ndarray:
    """Packed Grams of all heads for one minibatch, [heads, n(n+1)/2] float32.

    Args:
        shown: The network.
        outputs: A·V [n, tokens, heads, features of a head].

    Raises:
        ResultError: a head's output is not finite.
    """
    grams = [packed_gram(outputs[:, :, head]) for head in range(outputs.shape[2])]
    packed = torch.stack(grams).cpu().numpy()
    if not np.isfinite(packed).all():
        raise ResultError(
            f"heads of the first block of {shown.network.slug} have outputs that are not finite: "
            "its training has diverged; lower train.learning_rate, or lengthen train.warmup_steps"
        )
    return packed
