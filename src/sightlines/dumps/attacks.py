"""Changes of images that a network's own gradients find: the smallest, and the worst of a size.

Pixels are levels from 0 to 1, so that one budget is the same for every network, whatever it
normalises images by. `deepfool`: Moosavi-Dezfooli et al. 2016 (arXiv 1511.04599), Algorithm 2, ℓ2,
among the outputs that are largest at first, as in foolbox. `projected_descent`: Madry et al. 2018
(arXiv 1706.06083), ℓ∞. Paul & Chen's own attack on BiT is never projected, and reaches 20 times the
budget that it is compared at.

Cross-entropy has no gradient in float32 where a network is very sure: the probability of the right
output rounds to 1. Its signs are those of the log-odds against the right output, of which
cross-entropy is a rising function, and whose gradient never vanishes (`steepest`).
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

Outputs = Callable[[Tensor], Tensor]
"""From pixels [n, 3, height, width], levels from 0 to 1, to outputs [n, outputs]."""
Images = Float[Tensor, "images 3 height width"]

STEPS, CANDIDATES, OVERSHOOT = 50, 10, 0.02
"""Of DeepFool: steps as Paul & Chen, the others as in foolbox."""
STRIDE = 2.5
"""Step of the descent, in budgets over the number of steps: every corner can be reached."""


def project(images: Images, clean: Images, budget: float) -> Images:
    """The nearest images whose levels are within a budget of clean ones, and within [0, 1].

    Args:
        images: To be moved.
        clean: Within [0, 1].
        budget: Largest change of a level.
    """
    low, high = (clean - budget).clamp(min=0), (clean + budget).clamp(max=1)
    return torch.minimum(torch.maximum(images, low), high)


def steepest(
    answers: Float[Tensor, "images outputs"], right: Int64[Tensor, " images"]
) -> Float[Tensor, "images outputs"]:
    """Gradient of the cross-entropy by the outputs, each image's largest element at -1.

    The gradient is `softmax(answers)`, less 1 at the right output. Over the probability that is
    left to the others it is the softmax among these, and -1 at the right one, which neither
    rounds to 0 nor overflows.

    Args:
        answers: Outputs of a network, two at least.
        right: The output that is right.

    Returns:
        Of the outputs' type, made in float64.
    """
    own = torch.zeros_like(answers, dtype=torch.bool).scatter_(1, right[:, None], True)
    others = answers.detach().double().masked_fill(own, -torch.inf).softmax(1)
    return others.masked_fill(own, -1).to(answers.dtype)


@torch.enable_grad()
def projected_descent(
    outputs: Outputs,
    clean: Images,
    right: Int64[Tensor, " images"],
    budget: float,
    steps: int,
    start: Images,
) -> tuple[Images, Bool[Tensor, " images"]]:
    """Climb the cross-entropy by signs of its gradient, projected after every step.

    Args:
        outputs: The network.
        clean: Within [0, 1].
        right: The output that is right.
        budget: Largest change of a level.
        steps: Each of STRIDE × budget / steps.
        start: What is added first.

    Returns:
        The last images, and whether any on the way, the start among them, was answered wrongly.
    """
    seen = project(clean + start, clean, budget)
    fooled = torch.zeros(len(clean), dtype=torch.bool, device=clean.device)
    stride = STRIDE * budget / steps
    for _ in range(steps):
        pixels = seen.detach().requires_grad_()
        answers = outputs(pixels)
        fooled |= answers.detach().argmax(1) != right
        (gradient,) = torch.autograd.grad(answers, pixels, steepest(answers, right))
        seen = project(seen + stride * gradient.sign(), clean, budget)
    with torch.no_grad():
        fooled |= outputs(seen).argmax(1) != right
    return seen, fooled


@torch.enable_grad()
def deepfool(
    outputs: Outputs,
    clean: Images,
    steps: int = STEPS,
    candidates: int = CANDIDATES,
    overshoot: float = OVERSHOOT,
) -> tuple[Images, Bool[Tensor, " images"]]:
    """Move each image over the nearest boundary of its answer, as far as linear terms tell.

    Of a linear network one step is the smallest change that there is, but for the overshoot.

    Args:
        outputs: The network.
        clean: Within [0, 1].
        steps: At most.
        candidates: Outputs, the largest at first, the answer among them.
        overshoot: How much further than the boundary, as a share.

    Returns:
        Images within [0, 1], and whether each is answered otherwise than the clean one.
    """
    with torch.no_grad():
        order = outputs(clean).argsort(dim=1, descending=True, stable=True)[:, :candidates]
    own, total, seen = order[:, 0], torch.zeros_like(clean), clean.clone()
    left = torch.arange(len(clean), device=clean.device)
    for _ in range(steps):
        pixels = seen[left].detach().requires_grad_()
        answers = outputs(pixels)
        stays = answers.detach().argmax(1) == own[left]
        if not stays.any():
            return seen, torch.ones_like(own, dtype=torch.bool)
        total[left[stays]] += _to_boundary(answers.gather(1, order[left]), pixels)[stays]
        left = left[stays]
        seen[left] = (clean[left] + (1 + overshoot) * total[left]).clamp(0, 1)
    with torch.no_grad():
        return seen, outputs(seen).argmax(1) != own


def _to_boundary(answers: Float[Tensor, "images candidates"], pixels: Images) -> Images:
    """The way to the nearest plane on which another candidate equals the first.

    0 where no candidate has a gradient of its own.
    """
    count = answers.shape[1]
    gradients = (
        torch.autograd.grad(answers[:, k].sum(), pixels, retain_graph=k < count - 1)[0]
        for k in range(count)
    )
    own = next(gradients)
    nearest = torch.full((len(pixels),), torch.inf, dtype=answers.dtype, device=pixels.device)
    way = torch.zeros_like(own)
    for k, other in enumerate(gradients, 1):
        normal = other - own
        squares = normal.flatten(1).square().sum(1)
        gap = (answers[:, 0] - answers[:, k]).detach().abs()
        distance = torch.where(squares > 0, gap / squares.sqrt(), torch.inf)
        is_nearer = distance < nearest
        nearest = torch.where(is_nearer, distance, nearest)
        share = torch.where(squares > 0, gap / squares, 0).view(-1, 1, 1, 1)
        way = torch.where(is_nearer.view(-1, 1, 1, 1), share * normal, way)
    return way
