"""How similar every token is to every patch of pixels over the reference images.

Source: Raghu et al. 2021, section 5 and appendix D, Figures 9, 10, D.1 to D.3: CKA of token t with
the raw (normalised) pixels of patch u. The Grams of single tokens would be hundreds of MB; what is
kept is their HSICs. One file a network; per minibatch of n images `cross.<minibatch>` [layers,
tokens, patches], `own_tokens.…` [layers, tokens], `patches.…` [patches, patches], and where there
is a class token `cross_cls.…` [layers, patches] and `own_cls.…` [layers]: n(n-3) HSIC₁, float64.
Layers are the block outputs and a final norm.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sightlines.core.errors import ConfigError, ResultError
from sightlines.core.files import TensorShapes
from sightlines.dumps.localisation_hsic import centred_pairs, token_patch_hsic
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.passes import Rows, Watched
from sightlines.models.attention import has_class_token, prefix_tokens
from sightlines.models.layers import Layer, block_outputs, capture, layer_table

KIND = "localisation"
NETWORKS = "compared"
SPLITS = "reference"
PASS = "reference"
READER = "sightlines.dumps.localisation_reading:LocalisationDump"
MINIMUM_IMAGES = 4
"""Of a minibatch: with fewer, unbiased HSIC does not exist."""


def record(shown: Shown) -> Watched:
    """How tokens and patches compare in every reference minibatch."""
    layers = block_outputs(shown.layers)
    meta = shown.describe() | describe_tokens(shown, layers)

    @contextlib.contextmanager
    def watch(minibatch: Minibatch, images: torch.Tensor) -> Iterator[Rows]:
        rows: Rows = {}
        with watch_hsic(shown, layers, images, meta) as found:
            yield rows
        rows |= {f"{name}.{minibatch.name}": values for name, values in found.items()}

    return Watched(
        shapes=localisation_shapes(meta), meta=meta, minibatches=shown.reference(), watch=watch
    )


def describe_tokens(shown: Shown, layers: list[Layer]) -> dict[str, Any]:
    """The dump's own facts: rows of its layers, the grid, and which tokens precede patches.

    Raises:
        ConfigError: a minibatch is too small for the estimator.
    """
    fewest = min(len(minibatch) for minibatch in shown.reference_minibatches())
    if fewest < MINIMUM_IMAGES:
        raise ConfigError(
            f"a reference minibatch has {fewest} images, but unbiased HSIC needs "
            f"{MINIMUM_IMAGES}: change splits.reference_batch_size"
        )
    grid = [int(side) for side in shown.card["grid"]]
    rows = {row["name"]: row for row in layer_table(shown.layers)}
    shapes = shown.layer_shapes(layers)
    positions = [list(shape[1:]) if len(shape) == 3 else grid for shape in shapes]
    return {
        "grid": grid,
        "prefix_tokens": prefix_tokens(shown.model),
        "class_token": has_class_token(shown.model),
        "layers": [
            rows[layer.name] | {"positions": own}
            for layer, own in zip(layers, positions, strict=True)
        ],
    }


def localisation_shapes(meta: dict[str, Any]) -> TensorShapes:
    """The file's tensors, in order."""
    layers, tokens = len(meta["layers"]), meta["grid"][0] * meta["grid"][1]
    own: dict[str, tuple[int, ...]] = {
        "cross": (layers, tokens, tokens),
        "own_tokens": (layers, tokens),
        "patches": (tokens, tokens),
    }
    if meta["class_token"]:
        own |= {"cross_cls": (layers, tokens), "own_cls": (layers,)}
    return {
        f"{name}.{index:03d}": ("F64", shape)
        for index in range(len(meta["batch_sizes"]))
        for name, shape in own.items()
    }


@contextlib.contextmanager
def watch_hsic(
    shown: Shown, layers: list[Layer], images: torch.Tensor, meta: dict[str, Any]
) -> Iterator[dict[str, np.ndarray]]:
    """All sums of one minibatch, formed while the network runs in the block.

    Args:
        shown: The network.
        layers: From `block_outputs`.
        images: Normalised pixels [n, 3, height, width].
        meta: From `describe_tokens`.

    Yields:
        The minibatch's tensors by name, in the file's order; there are any when the block has
        ended.

    Raises:
        ResultError: a layer's activations are not finite, or so large that their HSIC is not.
    """
    grid, has_cls = (meta["grid"][0], meta["grid"][1]), meta["class_token"]
    patches = centred_pairs(images, grid)
    sums: dict[str, list[torch.Tensor]] = {"cross": [], "own_tokens": []}
    sums |= {"cross_cls": [], "own_cls": []} if has_cls else {}

    def keep(index: int, activations: torch.Tensor) -> None:
        maps, cls = as_maps(activations, grid, meta["prefix_tokens"], has_cls)
        cross, own = token_patch_hsic(maps, grid, patches)
        if not (torch.isfinite(cross).all() and torch.isfinite(own).all()):
            raise ResultError(
                f"layer {layers[index].name} of {shown.network.slug} has activations that are "
                "not finite, or too large for a float32 Gram: its training has diverged; "
                "lower train.learning_rate, or lengthen train.warmup_steps"
            )
        sums["cross"].append(cross)
        sums["own_tokens"].append(own)
        if cls is not None:
            cross, own = token_patch_hsic(cls, (1, 1), patches)
            sums["cross_cls"].append(cross[0])
            sums["own_cls"].append(own[0])

    kept: dict[str, np.ndarray] = {}
    with capture(shown.model, layers, keep):
        yield kept
    found = {name: torch.stack(parts).cpu().numpy() for name, parts in sums.items()}
    found["patches"] = (patches @ patches.T).cpu().numpy()
    order = ("cross", "own_tokens", "patches", "cross_cls", "own_cls")
    kept |= {name: found[name] for name in order if name in found}


def as_maps(
    activations: torch.Tensor, grid: tuple[int, int], prefix: int, has_cls: bool = True
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Patch tokens as a map, and the class token as a map of one position.

    Args:
        activations: Tokens [n, tokens, D], or maps [n, D, rows, columns].
        grid: Rows and columns of patches.
        prefix: Tokens before the patches' (CLS, registers).
        has_cls: Whether the first of the prefix tokens, if any, is the class token.

    Returns:
        [n, D, rows, columns], and [n, D, 1, 1] or None.
    """
    if activations.dim() == 4:
        return activations, None
    maps = activations[:, prefix:].transpose(1, 2).unflatten(2, grid)
    return maps, activations[:, 0, :, None, None] if prefix and has_cls else None
