"""Networks that start idle, and how they are switched on to serve as controls.

Many networks start with branches that add nothing: the scale of each branch's last norm is 0 (He et
al. 2019, arXiv 1812.01187, section 3.1), or a layer scale of 0 to 0.1 stands behind the branch
(ReZero, 2003.04887; CaiT, 2103.17239; ConvNeXt, 2201.03545). That helps training to begin, but an
untrained network of that kind passes its input on: neighbouring layers have CKA 1 whatever the
images, and nothing can be learned from it about the architecture. Switched on, all such scales are
1, as timm's arguments `zero_init_last=False`, `ls_init_value=1` or `init_values=1` would have it,
or more where some branch would still hardly count (`training/control.py`).

They are found by their values, so that any network can be switched on: a vector that multiplies
features (the weight of a norm, or a parameter that is called a scale, gain or gamma), all of whose
values are one number of at most `SMALL`. tests/models/test_idle.py holds that against timm's
arguments and measures every branch.
"""

import math
import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode

from sightlines.models.branches import capture_branches, find_branches

SMALL = 0.1
"""Scales of at most that size leave a branch idle; the largest in use is BEiT's .1."""
SCALE = re.compile(r"gamma|scale|gain|^ls\d*$")
"""Names of parameters that multiply features, beside the weights of norms."""
VALUES = 2**14
"""Matrices of more values are without memory among `VectorsOnly`."""


def idle_scales(model: nn.Module) -> list[str]:
    """Names of the parameters that scale features and start at (nearly) 0, in the model's order."""
    return [
        name
        for name, parameter in model.named_parameters()
        if _is_scale(name.rpartition(".")[2], parameter) and _is_small(parameter)
    ]


def _is_scale(name: str, parameter: Tensor) -> bool:
    is_vector = parameter.numel() == max(parameter.shape, default=1)
    is_norm = name == "weight" and parameter.dim() == 1
    return is_vector and (is_norm or SCALE.search(name) is not None)


def _is_small(parameter: Tensor) -> bool:
    values = parameter.detach()
    is_one_number = bool((values == values.flatten()[:1]).all())
    return bool(values.numel()) and is_one_number and float(values.abs().max()) <= SMALL * 1.001


def set_scales(model: nn.Module, names: Iterable[str], scale: int = 1) -> None:
    """Set scales, by the names of the parameters, to one number."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name in names:
            parameters[name].fill_(scale)


def batch_norms(model: nn.Module) -> list[Any]:
    """Modules that normalise by statistics which training collects."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]


def set_statistics(model: nn.Module, minibatches: Iterable[Tensor]) -> int:
    """Set BatchNorm's running statistics to the means of those of some minibatches.

    As training would: each norm sees what the norms before it, by the same minibatch's statistics,
    make of the images. Everything else stays as for evaluation: no dropout, no stochastic depth.

    Args:
        model: In evaluation mode, and left so.
        minibatches: Normalised images [n, 3, height, width], on the model's device.

    Returns:
        Number of images; 0 of a model without such norms.
    """
    norms = batch_norms(model)
    if not norms:
        return 0
    momenta = [norm.momentum for norm in norms]
    images = 0
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a cumulative average
            norm.train()
        with torch.no_grad():
            for minibatch in minibatches:
                model(minibatch)
                images += len(minibatch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
    return images


def branch_sizes(model: nn.Module, images: Tensor) -> list[float]:
    """Norm of each branch over that of its skip connection, root mean square over images.

    Args:
        model: In evaluation mode.
        images: Normalised, [n, 3, height, width], on the model's device.

    Returns:
        One number a branch, in the order in which they compute; none of a model whose branches are
        not known.
    """
    branches, _ = find_branches(model)
    sizes = [float("nan")] * len(branches)

    def note(index: int, skip: Tensor, long: Tensor) -> None:
        sizes[index] = float(long.double().norm() / skip.double().norm())

    if branches:
        with torch.no_grad(), capture_branches(model, branches, note):
            model(images)
    return sizes


def starts_idle(model: nn.Module) -> bool:
    """Whether an untrained model has to be switched on to serve as a control."""
    return bool(idle_scales(model) or batch_norms(model))


class VectorsOnly(TorchDispatchMode):
    """Networks that are built in this context have their vectors; matrices are without memory.

    What takes time and memory are the initial values of matrices. They stand on torch's meta
    device, where filling them does nothing.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Make large matrices on the meta device; leave all else as it is."""
        kwargs = dict(kwargs or {})
        if func is torch.ops.aten.empty.memory_format:
            size = args[0]
            if len(size) > 1 and math.prod(size) > VALUES:
                kwargs["device"] = torch.device("meta")
        return func(*args, **kwargs)
