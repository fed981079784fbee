"""What a file of this folder offers that is a family of networks, for the type checker."""

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import nn

    from sightlines.models.layers import Layer


class Family(Protocol):
    """A module that builds networks; what else it defines depends on the family."""

    def build(self, settings: dict[str, Any], size_px: int, classes: int) -> "nn.Module":
        """A network with random weights."""

    def layers(self, model: "nn.Module") -> "list[Layer]":
        """Where its representations are taken, in the order of depth."""

    def __getattr__(self, name: str) -> Any: ...
