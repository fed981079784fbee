"""Several processes that train one network together, each on its part of every minibatch.

Sampled examples, crops, flips and mixing are those of one process with the same minibatch: all
draws are made for the whole of it. Each process reads its part of the images, all get all of
them, and each shows its part to the network; gradients add up. Weights are those of one process
but for the order of float sums. Dropout and drop path draw for each part by itself.
"""

import os
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightlines.core.errors import ConfigError
from sightlines.core.precision import FORMATS, format_name

RANK, SIZE, LOCAL = "RANK", "WORLD_SIZE", "LOCAL_RANK"
"""Environment variables that torchrun sets."""


def rank() -> int:
    """Number of this process in its team: 0 leads, and alone writes files."""
    return int(os.environ.get(RANK, "0"))


def start_if_asked(processes: int) -> None:
    """Become torchrun with that many processes of this command, unless torchrun started it."""
    if processes == 1 or RANK in os.environ:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    os.execv(sys.executable, [sys.executable, *launcher, "-m", "--", *_module_and_arguments()])


def _module_and_arguments() -> list[str]:
    at = sys.orig_argv.index("-m")
    return sys.orig_argv[at + 1 :]


class Team:
    """This process and the others that train the same network; alone by default."""

    def __init__(self, device: torch.device) -> None:
        """Meet the others, where there are others."""
        self.rank, self.size = rank(), int(os.environ.get(SIZE, "1"))
        self.device = device
        if self.size > 1:
            backend = "nccl" if device.type == "cuda" else "gloo"
            torch.distributed.init_process_group(backend)

    @property
    def leads(self) -> bool:
        """Whether this process writes files and says how it goes."""
        return self.rank == 0

    def part(self, n: int) -> slice:
        """This process's part of a minibatch of n images."""
        edges = self._edges(n)
        return slice(edges[self.rank], edges[self.rank + 1])

    def _edges(self, n: int) -> list[int]:
        return [n * rank // self.size for rank in range(self.size + 1)]

    def mine(self, batch: np.ndarray) -> np.ndarray:
        """Of a minibatch's indices those that this process reads."""
        return batch if self.size == 1 else batch[self.part(len(batch))]

    def gather(self, images: Tensor, n: int) -> Tensor:
        """All n images of the minibatch, from everybody's part.

        Args:
            images: This process's part, uint8 [part, 3, rows, columns].
            n: Number of images of the whole minibatch.
        """
        if self.size == 1:
            return images
        longest = -(-n // self.size)
        padded = images.new_zeros((longest, *images.shape[1:]))
        padded[: len(images)] = images
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        torch.distributed.all_gather(parts, padded)
        sizes = np.diff(self._edges(n))
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def add_gradients(self, parameters: list[Any]) -> None:
        """Give everybody the sum of everybody's gradients."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        torch.distributed.all_reduce(flat)
        pieces = flat.split([gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))

    def add(self, value: Tensor) -> Tensor:
        """Sum of everybody's numbers."""
        if self.size > 1:
            value = value.detach().clone()
            torch.distributed.all_reduce(value)
        return value

    def require_same(self, dtype: torch.dtype) -> None:
        """Make sure that all compute in one number format.

        Raises:
            ConfigError: they do not; all of them say so.
        """
        if self.size == 1:
            return
        formats = list(FORMATS.values())
        mine = torch.tensor(formats.index(dtype), device=self.device)
        found = [torch.empty_like(mine) for _ in range(self.size)]
        torch.distributed.all_gather(found, mine)
        names = [format_name(formats[int(index)]) for index in found]
        if len(set(names)) > 1:
            raise ConfigError(
                f"the processes that train together take different number formats "
                f"({', '.join(names)}): set train.precision to fp32 or bf16, or "
                "CUDA_VISIBLE_DEVICES to cards of one kind"
            )

    def leaders(self, text: str) -> str:
        """The leading process's text, of the length of this one's."""
        if self.size == 1:
            return text
        told = torch.tensor(list(text.encode()), dtype=torch.uint8, device=self.device)
        torch.distributed.broadcast(told, src=0)
        return bytes(told.tolist()).decode()

    def leave(self) -> None:
        """Wait for the others, and part."""
        if self.size > 1:
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()
