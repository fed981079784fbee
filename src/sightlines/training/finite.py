"""Notice a loss or a gradient that is not finite, without waiting for the GPU at every step."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

GPU_INTERVAL = 25
"""Steps between two looks at a GPU's losses: each look waits for all work to end."""

OnBad = Callable[[int, str, float], None]
"""Called with the step, what is not finite, and its value; must raise."""


class FiniteWatch:
    """Collects every step's loss and gradient norm, and looks at them from time to time."""

    def __init__(self, device: torch.device) -> None:
        """Look at every step on a processor, now and then on a GPU."""
        self._interval = 1 if device.type == "cpu" else GPU_INTERVAL
        self._steps: list[int] = []
        self._values: list[Tensor] = []

    def add(self, step: int, loss: Tensor, norm: Tensor, on_bad: OnBad) -> None:
        """Note a step before its weights are updated."""
        self._steps.append(step)
        self._values.append(torch.stack([loss.detach(), norm.detach()]))
        if len(self._steps) >= self._interval:
            self.check(on_bad)

    def check(self, on_bad: OnBad) -> None:
        """Look at all steps noted since the last look, the earliest first."""
        if not self._steps:
            return
        values = torch.stack(self._values).tolist()
        steps = self._steps
        self._steps, self._values = [], []
        for step, (loss, norm) in zip(steps, values, strict=True):
            for what, value in (("loss", loss), ("gradient's norm", norm)):
                if value != value or value in (float("inf"), float("-inf")):
                    on_bad(step, what, value)


def are_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether every number in every tensor is finite."""
    norms = torch._foreach_norm([t.detach() for t in tensors])
    return bool(torch.stack(list(norms)).isfinite().all())
