"""The parts of a recipe that hold tensors: optimiser, averaged weights, what is not decayed."""

import copy
from typing import Any

import torch
from torch import nn

from sightlines.plan.schedule import Recipe, ema_decay
from sightlines.training import muon

EMBEDDINGS = ("pos_embed", "cls_token", "reg_token")


def is_decayed(name: str, parameter: torch.Tensor) -> bool:
    """Whether weight decay applies: to matrices and kernels, not to norms, biases, embeddings."""
    return parameter.ndim >= 2 and name.rpartition(".")[2] not in EMBEDDINGS


def make_optimizer(
    model: nn.Module, recipe: Recipe, last: nn.Parameter | None = None
) -> torch.optim.Optimizer:
    """AdamW, SGD with Nesterov momentum, or Muon, in groups that say whether they are `decayed`.

    The learning rate is set at every step by `set_learning_rate`.

    Args:
        model: Whose parameters it changes.
        recipe: The config's `train`.
        last: The matrix that gives the answer, where it is not the network's last one.
    """
    named = list(model.named_parameters())
    decayed = [(n, p) for n, p in named if is_decayed(n, p)]
    inner = muon.inner_matrices(decayed, last) if recipe["optimizer"] == "muon" else []
    inside = {name for name, _ in inner}
    groups = [
        {
            "params": [p for n, p in decayed if n not in inside],
            "weight_decay": recipe["weight_decay"],
            "decayed": True,
        },
        {
            "params": [p for n, p in named if not is_decayed(n, p)],
            "weight_decay": 0.0,
            "decayed": False,
        },
    ]
    groups = [group for group in groups if group["params"]]
    rate, betas = recipe["learning_rate"], (recipe["momentum"], recipe["second_moment"])
    if inner:
        return muon.Muon(inner, groups, rate, recipe["weight_decay"], betas)
    if recipe["optimizer"] in ("adamw", "muon"):
        return torch.optim.AdamW(groups, lr=rate, betas=betas, fused=True)
    return torch.optim.SGD(
        groups,
        lr=rate,
        momentum=recipe["momentum"],
        nesterov=recipe["momentum"] > 0,
        fused=True,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set every group's learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = value


class AveragedWeights:
    """Exponential moving average of a network's weights, as a second network.

    Attributes:
        model: The averaged network; the trained one itself where the recipe averages nothing.
    """

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        """Start the average at the network's present weights."""
        self._recipe = recipe
        self.model = model
        if self.is_on:
            self.model = copy.deepcopy(model).requires_grad_(False)
            self._averaged: list[torch.Tensor] = list(self.model.parameters())
            self._trained: list[torch.Tensor] = list(model.parameters())
            self._buffers = list(zip(self.model.buffers(), model.buffers(), strict=True))

    @property
    def is_on(self) -> bool:
        """Whether the recipe averages."""
        return self._recipe["ema_decay"] > 0

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step `step`."""
        if self.is_on:
            weight: Any = 1 - ema_decay(step, self._recipe)
            torch._foreach_lerp_(self._averaged, self._trained, weight)
            for averaged, trained in self._buffers:
                averaged.copy_(trained)
