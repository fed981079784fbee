"""How similar what each mixing branch adds to a token is to every patch of pixels.

As `localisation`, but of the branches that mix tokens, before they are added to the stream: of a
ViT's attention, of an FNet's transforms. An output of a Fourier transform is a frequency and no
place (Lee-Thorp et al. 2021, section 3), so that what says where must be on the skip connection.
"""

import contextlib
from collections.abc import Iterator

import torch

from sightlines.dumps.localisation import describe_tokens, localisation_shapes, watch_hsic
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.passes import Rows, Watched

KIND = "branch_places"
NETWORKS = "first_seed"
FAMILIES = "TOKEN_MIXING"
SPLITS = "reference"
PASS = "reference"
READER = "sightlines.dumps.localisation_reading:LocalisationDump"
MIXING = ("attn", "mixing")
"""Kinds of layers that mix tokens."""


def record(shown: Shown) -> Watched:
    """How tokens of mixing branches and patches compare in every reference minibatch."""
    layers = [layer for layer in shown.layers if layer.kind in MIXING]
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
