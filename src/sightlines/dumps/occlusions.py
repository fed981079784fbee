"""What networks answer to occluded and shuffled images.

Source: Naseer et al. 2021, sections 3.1 to 3.3. The conditions are those of
`conditions.occlusion`; what is kept of each is said in `dumps.responses`.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightlines.conditions import occlusion
from sightlines.core.files import TensorFile
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.responses import image_facts, to_conditions
from sightlines.models.attention import (
    attention_modules,
    capture_first_row,
    has_class_token,
    prefix_tokens,
)

KIND = "occlusions"
READER = "sightlines.dumps.responses_reading:ResponsesDump"
NETWORKS = "compared"
SPLITS = "splits"
USES = ("seed",)
BESIDE = ("masks",)
CONDITIONS = "occlusion"
"""The block of the config's `conditions` whose settings these are."""
UNUSED = ("depth",)
"""Keys of that block, or `images`, that this dump does not depend on."""


def record(
    shown: Shown, seed: int, conditions: dict[str, Any], masks: Path | None = None
) -> TensorFile:
    """Answers to the images as they are, and under every condition.

    Args:
        shown: The network.
        seed: The experiment's root seed.
        conditions: The family's settings, and how many `images` are shown.
        masks: The list of the photographs' masks, where there is one.
    """
    facts, looks = image_facts(shown, masks), OwnAttention.of(shown, conditions["cells"])
    if looks is not None:
        facts = replace(facts, attention=looks.of_images)
    wanted = occlusion.conditions(conditions, facts)
    around = looks.watched if looks is not None and conditions["salient_shares"] else None
    found = to_conditions(shown, wanted, seed, conditions["images"], around)
    return found._replace(meta={**found.meta, "cells": conditions["cells"]})


@dataclass
class OwnAttention:
    """What a network's class token looks at in its last block, mean of the heads, image by image.

    Source: Naseer et al. 2021, section 3.1, where it is one head of another network (DINO).

    Attributes:
        shown: The network.
        seen: Place of an image in its split -> attention [patches], of images shown so far.
    """

    shown: Shown
    seen: dict[int, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, shown: Shown, cells: int) -> "OwnAttention | None":
        """Of a network with a class token whose patches are the cells; None of others."""
        has_grid = list(shown.card["grid"]) == [cells, cells]
        is_vit = has_class_token(shown.model) and bool(attention_modules(shown.model))
        return cls(shown) if has_grid and is_vit else None

    @contextlib.contextmanager
    def watched(self, minibatch: Minibatch) -> Iterator[None]:
        """Note what the network looks at while it is shown a minibatch in the block."""

        def note(rows: torch.Tensor) -> None:
            patches = rows.mean(1)[:, prefix_tokens(self.shown.model) :].cpu().numpy()
            self.seen = dict(zip(minibatch.images.tolist(), patches, strict=True))

        with capture_first_row(self.shown.model, note):
            yield

    def of_images(self, indices: np.ndarray) -> np.ndarray:
        """Attention to each patch [images, patches] of images of the last minibatch."""
        return np.stack([self.seen[int(index)] for index in indices])
