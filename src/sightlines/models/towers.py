"""Networks of other libraries that see images alone: a tower, and maybe a last layer on it."""

from typing import Any

import torch
from torch import Tensor, nn


class Tower(nn.Module):
    """A network that is shown images [n, 3, height, width] and gives [n, outputs].

    Attributes:
        model: What the other library built.
        head: The last layer that was put on it; None where it has its own, or none is wanted.
    """

    has_own_head = False
    """Whether `model` ends in a layer for classes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.head: nn.Linear | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Scores; features of a tower without a last layer."""
        found = self.features(images)
        return found if self.head is None else self.head(found)

    def features(self, images: Tensor) -> Tensor:
        """What the model itself gives for an image."""
        given: Any = self.model(images)
        first: Tensor = given[0] if isinstance(given, tuple) else given
        return first

    def reset_classifier(self, classes: int) -> None:
        """Put another last layer on it."""
        from sightlines.models import foreign

        if self.has_own_head:
            foreign.reset_heads(self, classes)
        else:
            width = self.head.in_features if self.head else None
            self.head = nn.Linear(width or self.width(), classes)

    def get_classifier(self) -> Any:
        """Its last layer, or layers."""
        from sightlines.models import foreign

        return foreign.heads(self) if self.has_own_head else self.head

    def width(self) -> int:
        """Length of the features of an image."""
        from sightlines.models.tracing import without_numbers

        side: int = vars(self)["seen_px"]
        was_training = self.training
        with torch.no_grad():
            twin: Any = without_numbers(self.eval())
            features = twin.features(torch.zeros(2, 3, side, side, device="meta"))
        self.train(was_training)
        return int(features.shape[1])
