"""Follows the places of an image through a forward pass: where each number of a tensor stands.

Every tensor that comes of the image has beside it a tensor of the same shape that says of which
place its numbers are: a complex number, x + i·y in px from the image's upper left corner, with the
image's index · IMAGE added to y; NaN where there is no place (class tokens, registers, what is
mixed over places). The companions are expanded views and go through the same views, permutations,
windows, rolls and pools as the tensors, so that whatever order a network puts its tokens into, the
place of each is known. A product of two tensors whose places are not those of the contracted axis
has two companions: the places of queries and those of keys.
"""

import cmath
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

IMAGE = 2.0**20
"""Added to y for each image of a minibatch: more than the side of any image in px."""
NOWHERE = complex(float("nan"), float("nan"))
FEW_ULPS = 1e-6
"""Of px: places nearer than this are one place."""
ONE_PLACE = 1e-3
"""Of px: a mean over places moves by less from rounding."""

Shape = Sequence[int]


@dataclass(frozen=True)
class Places:
    """Companions of one tensor.

    Attributes:
        own: Places of its numbers, of the tensor's shape; of a product, places of the queries.
        keys: Of a product of two tensors, places of the keys, of the same shape; else None.
        is_softmax: Whether a product went through a softmax over its keys.
        applied: What was done to it after the softmax, by name.
    """

    own: Tensor
    keys: Tensor | None = None
    is_softmax: bool = False
    applied: tuple[str, ...] = ()

    def moved(self, move: Callable[[Tensor], Tensor]) -> "Places":
        """The same after a view, permutation or choice of numbers."""
        keys = None if self.keys is None else move(self.keys)
        return replace(self, own=move(self.own), keys=keys)

    def after(self, name: str) -> "Places":
        """The same, with what was applied after the softmax noted."""
        if not self.is_softmax or name in self.applied:
            return self
        return replace(self, applied=(*self.applied, name))


def of_pixels(images: int, channels: int, height: int, width: int) -> Places:
    """Of every pixel, its middle."""
    y = torch.arange(height, dtype=torch.float64) + 0.5
    x = torch.arange(width, dtype=torch.float64) + 0.5
    index = torch.arange(images, dtype=torch.float64) * IMAGE
    places = torch.complex(
        x[None, None, :].expand(images, height, width),
        (index[:, None, None] + y[None, :, None]).expand(images, height, width),
    )
    return Places(places[:, None].expand(images, channels, height, width))


def nowhere(shape: Shape) -> Tensor:
    """No place, everywhere."""
    return torch.tensor(NOWHERE, dtype=torch.complex128).expand(tuple(shape))


def is_nowhere(places: Tensor) -> Tensor:
    """Where a tensor has no place."""
    return places.real.isnan()


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two companions say the same, NaN being equal to NaN."""
    left, right = is_nowhere(a), is_nowhere(b)
    if not torch.equal(*torch.broadcast_tensors(left, right)):
        return False
    apart = torch.where(left, torch.zeros((), dtype=a.dtype), a - b)
    return bool((apart.abs() <= FEW_ULPS * 16).all())


def varies(places: Tensor, dim: int) -> bool:
    """Whether places differ along an axis."""
    size, stride = places.shape[dim], places.stride(dim)
    if size <= 1 or stride == 0:
        return False
    compact = squeezed(places)
    first, last = compact.narrow(dim, 0, 1), compact.narrow(dim, size - 1, 1)
    return not same(first, last) or not same(first, compact)  # most that vary do so end to end


def squeezed(places: Tensor, but: Sequence[int] = ()) -> Tensor:
    """The same with axes of stride 0 cut to one entry, but for some axes."""
    for dim, (size, stride) in enumerate(zip(places.shape, places.stride(), strict=True)):
        if size > 1 and stride == 0 and dim not in but:
            places = places.narrow(dim, 0, 1)
    return places


def along(places: Tensor, dim: int, size: int) -> Tensor:
    """The first entry along an axis, as often as there are entries."""
    shape = list(places.shape)
    shape[dim] = size
    return places.narrow(dim, 0, 1).expand(shape)


def reshaped(places: Tensor, shape: Shape) -> Tensor:
    """A companion in another shape; an axis of stride 0 that stays one of the axes keeps it."""
    begins = {(math.prod(shape[:axis]), size): axis for axis, size in enumerate(shape)}
    few, own = list(shape), places
    for dim, (size, stride) in enumerate(zip(places.shape, places.stride(), strict=True)):
        axis = begins.get((math.prod(places.shape[:dim]), size))
        if size > 1 and stride == 0 and axis is not None:
            own, few[axis] = own.narrow(dim, 0, 1), 1
    try:
        return own.view(few).expand(tuple(shape))
    except RuntimeError:  # axes that are joined: those along which places are one need no copy
        for dim, size in enumerate(own.shape):
            own = own if varies(own, dim) else along(own, dim, size)
        return own.reshape(few).expand(tuple(shape))


def rolled(places: Tensor, shifts: Sequence[int], dims: Sequence[int]) -> Tensor:
    """A companion rolled along some axes."""
    own = squeezed(places, [dim % places.dim() for dim in dims])
    return own.roll(tuple(shifts), tuple(dims)).expand(places.shape)


# -- pointwise -----------------------------------------------------------------------------------


def joined(found: Sequence[Places | None], shapes: Sequence[Shape], out: Shape) -> Places | None:
    """Of a pointwise operation on several tensors.

    The tensor that is as large as what comes out decides; where two are, the first, filled from the
    second where it has no place. What is spread over all places (a gate) has no say.
    """
    there = [(each, shape) for each, shape in zip(found, shapes, strict=True) if each is not None]
    if not there:
        return None
    there.sort(key=lambda pair: -torch.Size(pair[0].own.shape).numel())
    products = [each for each, _ in there if each.keys is not None]
    if products:
        first = products[0]
        return first.moved(lambda p: p.expand(tuple(out)))
    first, *others = [each.moved(lambda p: p.expand(tuple(out))) for each, _ in there]
    for other in others:
        gaps = is_nowhere(squeezed(first.own))
        if bool(gaps.any()):
            filled = torch.where(gaps, squeezed(other.own), squeezed(first.own))
            first = replace(first, own=filled.expand(tuple(out)))
    return first


# -- windows along axes --------------------------------------------------------------------------


def sampled(places: Tensor, dim: int, at: Tensor) -> Tensor:
    """Places between and beyond the entries of an axis, on the line through the nearest two."""
    size = places.shape[dim]
    if size == 1:
        return along(places, dim, len(at))
    low = at.floor().long().clamp(0, size - 2)
    share = at - low
    shape = [1] * places.dim()
    shape[dim] = len(at)
    share = share.reshape(shape)
    own = squeezed(places, (dim,))
    below, above = own.index_select(dim, low), own.index_select(dim, low + 1)
    between = below * (1 - share) + above * share
    found = torch.where(share == 0, below, torch.where(share == 1, above, between))
    return found.expand(*places.shape[:dim], len(at), *places.shape[dim + 1 :])


def convolved(
    places: Tensor,
    out: Shape,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    channel_axis: bool = True,
) -> Tensor:
    """Middles of the windows of a convolution or a pool over the last axes."""
    axes = len(kernel)
    if channel_axis and varies(places, places.dim() - axes - 1):
        mean = places.mean(places.dim() - axes - 1, keepdim=True)
        places = mean
    elif channel_axis:
        places = places.narrow(places.dim() - axes - 1, 0, 1)
    for axis in range(axes):
        dim = places.dim() - axes + axis
        if not varies(places, dim):
            places = along(places, dim, out[len(out) - axes + axis])
            continue
        count = out[len(out) - axes + axis]
        at = torch.arange(count, dtype=torch.float64) * stride[axis] - padding[axis]
        at = at + (kernel[axis] - 1) * dilation[axis] / 2
        places = sampled(places, dim, at)
    return places.expand(tuple(out))


def padded(places: Tensor, widths: Sequence[int]) -> Tensor:
    """Places of padding: on the line through what it pads, and so outside of the image."""
    for step in range(len(widths) // 2):
        before, after = widths[2 * step], widths[2 * step + 1]
        if before or after:
            dim = places.dim() - 1 - step
            at = torch.arange(-before, places.shape[dim] + after, dtype=torch.float64)
            if places.shape[dim] + before + after <= 0:
                continue
            places = (
                sampled(places, dim, at) if varies(places, dim) else along(places, dim, len(at))
            )
    return places


def reduced(places: Tensor, dims: Sequence[int], keepdim: bool) -> Tensor:
    """Mean places over axes; nowhere where an image has but one place left."""
    dims = [d % places.dim() for d in dims]
    moving = [d for d in dims if varies(places, d)]
    for d in dims:
        if d not in moving:
            places = places.narrow(d, 0, 1)
    if moving:
        places = places.mean(moving, keepdim=True)
        if not _has_several_an_image(squeezed(places)):
            places = nowhere(places.shape)
    if not keepdim:
        for d in sorted(dims, reverse=True):
            places = places.squeeze(d)
    return places


def _has_several_an_image(places: Tensor) -> bool:
    """Whether some image has more places than one."""
    left = places.flatten()
    left = left[~is_nowhere(left)]
    image = left.imag.div(IMAGE).floor()
    own = (left[image == index] for index in torch.unique(image))
    return any(bool(((each - each[0]).abs() > ONE_PLACE).any()) for each in own)


# -- products ------------------------------------------------------------------------------------


def product(a: Places | None, b: Places | None, out: Shape) -> tuple[Places | None, str]:
    """Of a · b over a's last axis and b's last but one.

    Returns:
        Its places, and ``a`` or ``b`` where that one holds the probabilities of attention that
        multiply the other.
    """
    if a is None and b is None:
        return None, ""
    rows, columns = out[-2], out[-1]
    if a is None or b is None:
        one = a if b is None else b
        assert one is not None
        dim = one.own.dim() - (1 if b is None else 2)

        def weighted(p: Tensor) -> Tensor:
            return along(reduced(p, [dim], True), dim, columns if b is None else rows).expand(
                tuple(out)
            )

        if one.keys is not None and (varies(one.own, dim) or varies(one.keys, dim)):
            return None, ""
        return one.moved(weighted).after("heads are mixed"), ""
    if a.keys is not None and b.keys is None:  # attention · values
        if varies(a.own, a.own.dim() - 1):
            return None, ""
        return Places(along(a.own, -1, columns).expand(tuple(out))), "a" if a.is_softmax else ""
    if b.keys is not None and a.keys is None:  # values · attention, transposed
        if varies(b.own, b.own.dim() - 2):
            return None, ""
        return Places(along(b.own, -2, rows).expand(tuple(out))), "b" if b.is_softmax else ""
    if a.keys is not None or varies(a.own, a.own.dim() - 1) or varies(b.own, b.own.dim() - 2):
        return None, ""
    queries = along(a.own, -1, columns).expand(tuple(out))
    keys = along(b.own, -2, rows).expand(tuple(out))
    return Places(queries, keys), ""


def key_axis(found: Places) -> int:
    """The axis of a product along which keys differ and queries do not; -1 where there is none."""
    assert found.keys is not None
    for dim in reversed(range(found.own.dim())):
        if varies(found.keys, dim) and not varies(found.own, dim):
            return dim
    return -1


def decoded(places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Image, y and x in px, float64; NaN where there is no place."""
    image = (places.imag / IMAGE).floor()
    return image, places.imag - image * IMAGE, places.real


def as_number(place: complex) -> tuple[float, float]:
    """Row and column in px of one place of the first image."""
    return (place.imag, place.real) if not cmath.isnan(place) else (float("nan"), float("nan"))


def arguments_of(values: Any, count: int) -> list[int]:
    """A stride, padding or kernel for each axis."""
    listed = list(values) if isinstance(values, list | tuple) else [values]
    return [int(v) for v in (listed * count if len(listed) == 1 else listed)]
