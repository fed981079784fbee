"""Muon: momentum made orthogonal, for the matrices inside a network; AdamW for all else.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the step's
size is that of Liu et al. 2025, "Muon is scalable for LLM training", eq. 4: .2 √max(rows, columns),
with which one learning rate serves both.

`torch.optim.Muon` (2.13) makes the same step, but refuses the kernels of convolutions, rounds to
bfloat16 (which many processors only emulate), and takes each matrix by itself. Here matrices of
one shape are one batched product in their own format, and queries, keys and values are a matrix
each, although one layer holds all three.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic of Jordan et al., which takes singular values to .68 to 1.13 in a few rounds."""
ROUNDS = 5
MOMENTUM = 0.95
SCALE = 0.2
"""Root mean square of a step of AdamW, relative to its learning rate (Liu et al. 2025)."""
JOINED = 3
"""Queries, keys and values, in a layer called `qkv`."""


def orthogonal(matrices: Tensor) -> Tensor:
    """Nearly U Vᵀ of each matrix U S Vᵀ: singular values become .68 to 1.13, small ones less.

    Args:
        matrices: [n, rows, columns], a float type.

    Returns:
        The same shape. A matrix of zeros stays one.
    """
    is_tall = matrices.shape[1] > matrices.shape[2]
    values = matrices.mT if is_tall else matrices
    norms = torch.linalg.vector_norm(values, dim=(1, 2), keepdim=True)
    values = values / norms.clamp(min=torch.finfo(values.dtype).tiny)
    first, third, fifth = COEFFICIENTS
    for _ in range(ROUNDS):
        squares = values @ values.mT
        changed = torch.baddbmm(squares, squares, squares, beta=third, alpha=fifth)
        values = torch.baddbmm(values, changed, values, beta=first)
    return values.mT if is_tall else values


def inner_matrices(
    named: list[tuple[str, nn.Parameter]], last: nn.Parameter | None = None
) -> list[tuple[str, nn.Parameter]]:
    """What Muon is for: all but the first and the last, which read pixels and give the answer.

    Args:
        named: Matrices and kernels in the order in which the network has them.
        last: The one that gives the answer, where it does not stand at the end.
    """
    if last is None and named:
        last = named[-1][1]
    return [(name, parameter) for name, parameter in named[1:] if parameter is not last]


class Muon(torch.optim.Optimizer):
    """Muon for the first group, AdamW (fused) for the others."""

    def __init__(
        self,
        named: list[tuple[str, nn.Parameter]],
        others: list[dict[str, Any]],
        learning_rate: float,
        weight_decay: float,
        betas: tuple[float, float],
    ) -> None:
        """Make an optimiser of all parameters.

        Args:
            named: Matrices and kernels that Muon changes, with their names.
            others: AdamW's groups.
            learning_rate: Of all.
            weight_decay: Of the matrices, decoupled; `others` bring their own.
            betas: AdamW's.
        """
        self._adamw = torch.optim.AdamW(others, lr=learning_rate, betas=betas, fused=True)
        matrices = {
            "params": [p for _, p in named],
            "weight_decay": weight_decay,
            "decayed": True,
        }
        super().__init__([matrices, *self._adamw.param_groups], {"lr": learning_rate})
        self._parts = [
            JOINED if name.endswith("qkv.weight") and len(p) % JOINED == 0 else 1
            for name, p in named
        ]
        self._share()

    def _share(self) -> None:
        """Have AdamW use this optimiser's groups and state, so that one checkpoint holds both."""
        self._adamw.param_groups = self.param_groups[1:]
        self._adamw.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go back to what `state_dict` gave."""
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Change all parameters that have a gradient."""
        del closure
        self._adamw.step()
        group = self.param_groups[0]
        alike: dict[tuple[int, ...], list[Tensor]] = {}
        for parameter, parts in zip(group["params"], self._parts, strict=True):
            if parameter.grad is not None:
                shape = (parts, *parameter.shape)
                alike.setdefault(shape, []).append(parameter)
        for (parts, *_), parameters in alike.items():
            self._change(parameters, parts, group)

    def _change(self, parameters: list[Tensor], parts: int, group: dict[str, Any]) -> None:
        """Take the step of parameters of one shape."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        moving = [self._momentum(p) for p in parameters]
        torch._foreach_lerp_(moving, gradients, 1 - MOMENTUM)
        ahead = torch.stack(torch._foreach_lerp(gradients, moving, MOMENTUM))  # Nesterov's
        matrices = ahead.reshape(len(ahead) * parts, len(parameters[0]) // parts, -1)
        size = group["lr"] * SCALE * math.sqrt(max(matrices.shape[1:]))
        changes = orthogonal(matrices).reshape(ahead.shape).unbind()
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(parameters, changes, alpha=-size)

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        found: Tensor = state["momentum_buffer"]
        return found
