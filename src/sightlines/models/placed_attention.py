"""Attention where it happens: the probabilities of every call that computes them, with places.

A traced pass (`models/tracing.py`) finds the calls: torch's scaled_dot_product_attention,
multi_head_attention_forward, and products of a softmax of queries and keys with values. In another
pass the same calls are met again, counted. Of a product the matrix that multiplies the values is
taken as it is; the two fused functions do not show theirs, which is computed a second time from
their arguments (mask, bias and scale included).
"""

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sightlines.core.errors import ResultError
from sightlines.models import places as along_with
from sightlines.models.places import Places
from sightlines.models.tracing import (
    FUSED,
    IMAGES,
    MATMULS,
    MULTI_HEAD,
    Site,
    fused_arguments,
    operands,
)

CHUNK_BYTES = 32 * 2**20
"""Probabilities computed at once."""
TOLERANCE = 1e-4
"""Of `check_sites`, relative to the largest output: float32 in two orders of summation."""

OnRows = Callable[[int, int, slice, Tensor], None]
"""Called with the site, the image, which of its slices, and their probabilities [slices, q, k]."""


@dataclass(frozen=True)
class PlacedSite:
    """One attention between places of the image.

    Its probabilities, [..., queries, keys] in an order of the network's own, are slices
    [queries, keys] of an image: heads times windows.

    Attributes:
        name: Path of the module that calls it; where there are several, with their number.
        site: The call.
        lead: Axes before those of queries and keys.
        query_axis: Of the probabilities.
        key_axis: Likewise.
        window_of: Of each slice of an image.
        head_of: Likewise.
        heads: How many.
        queries: Row and column in px of every query [windows, queries, 2]; NaN without a place.
        keys: The same of every key [windows, keys, 2].
    """

    name: str
    site: Site
    lead: tuple[int, ...]
    query_axis: int
    key_axis: int
    window_of: tuple[int, ...]
    head_of: tuple[int, ...]
    heads: int
    queries: Tensor
    keys: Tensor

    @property
    def slices(self) -> int:
        """Of an image."""
        return len(self.window_of)


def placed_sites(sites: Sequence[Site], size_px: int) -> tuple[list[PlacedSite], dict[str, str]]:
    """Attentions between places, and of the others why they are none.

    Args:
        sites: From a trace.
        size_px: Side of the images; what lies outside of them is padding and has no place.
    """
    counts: dict[str, int] = {}
    for site in sites:
        counts[site.module] = counts.get(site.module, 0) + 1
    seen: dict[str, int] = {}
    found, others = [], {}
    for site in sites:
        number = seen[site.module] = seen.get(site.module, -1) + 1
        name = f"{site.module}#{number}" if counts[site.module] > 1 else site.module
        placed = _placed(name, site, size_px)
        if isinstance(placed, str):
            others[name] = placed
        else:
            found.append(placed)
    return found, others


def _placed(name: str, site: Site, size_px: int) -> PlacedSite | str:
    both = Places(site.queries, site.keys)
    key_axis = along_with.key_axis(both)
    query_axis = along_with.key_axis(Places(site.keys, site.queries))
    if query_axis < 0:
        return "its queries have no places (class tokens, or learnt ones)"
    if key_axis < 0:
        return "its keys have no places"
    dims = len(site.shape)
    lead = tuple(d for d in range(dims) if d not in (query_axis, key_axis))
    if not lead:
        return "its windows are shared between images"
    order = (*lead, query_axis, key_axis)
    queries = site.queries.permute(order)[..., 0]
    keys = site.keys.permute(order)[..., 0, :]
    queries, keys = queries.flatten(0, -2), keys.flatten(0, -2)
    if queries.shape[0] % IMAGES:
        return "its windows are shared between images"
    halves = [_inside(p, size_px) for p in (queries, keys)]
    keys_of = halves[1][1]
    first: list[Tensor] = []
    for image, places in halves:
        count = len(places) // IMAGES
        for index in range(IMAGES):
            own = image[index * count : (index + 1) * count]
            if bool((own[~own.isnan()] != index).any()):
                return "images are mixed in the order of its windows"
        one, two = places[:count], places[count:]
        if not torch.allclose(one, two, rtol=0, atol=1e-3, equal_nan=True):
            return "its windows differ from image to image"
        placed = one[~one[..., 0].isnan()]
        if len(placed) == 0 or (places is keys_of and len(torch.unique(placed, dim=0)) < 2):
            return "its queries or keys have no two places"
        first.append(one)
    return _grouped(name, site, lead, query_axis, key_axis, first)


def _inside(places: Tensor, size_px: int) -> tuple[Tensor, Tensor]:
    """Image of each place, and its row and column; NaN outside of the image."""
    image, y, x = along_with.decoded(places)
    outside = ~((y >= 0) & (y <= size_px) & (x >= 0) & (x <= size_px))
    nan = torch.tensor(math.nan, dtype=torch.float64)
    found = torch.stack([torch.where(outside, nan, y), torch.where(outside, nan, x)], dim=-1)
    return torch.where(outside, nan, image), found


def _grouped(
    name: str,
    site: Site,
    lead: tuple[int, ...],
    query_axis: int,
    key_axis: int,
    first: Sequence[Tensor],
) -> PlacedSite | str:
    """Slices of the same queries and keys are heads of one window."""
    queries, keys = first
    windows: dict[bytes, int] = {}
    window_of: list[int] = []
    head_of: list[int] = []
    members: list[int] = []
    for index in range(len(queries)):
        rounded = [(p[index] * 64).round().nan_to_num(-1) for p in (queries, keys)]
        signature = b"".join(p.numpy().tobytes() for p in rounded)
        window = windows.setdefault(signature, len(windows))
        if window == len(members):
            members.append(index)
        head_of.append(window_of.count(window))
        window_of.append(window)
    heads = len(window_of) // len(windows)
    if any(window_of.count(window) != heads for window in windows.values()):
        return "its windows have different numbers of heads"
    return PlacedSite(
        name,
        site,
        lead,
        query_axis,
        key_axis,
        tuple(window_of),
        tuple(head_of),
        heads,
        queries[members].clone(),
        keys[members].clone(),
    )


@contextlib.contextmanager
def capture_sites(
    model: nn.Module, sites: Sequence[PlacedSite], images: int, on_rows: OnRows
) -> Iterator[None]:
    """Hand the probabilities of every site to `on_rows` while a forward pass runs in the block.

    Args:
        model: The network.
        sites: Where it attends.
        images: How many it is shown.
        on_rows: Receives probabilities in float32, a few slices of one image at a time.

    Raises:
        ResultError: the forward pass reached not all of them.
    """
    watching = _Capturing(sites, images, on_rows)
    with watching:
        yield
    silent = [site.name for i, site in enumerate(sites) if i not in watching.reached]
    if silent:
        raise ResultError(f"no forward pass of {type(model).__name__} reached {silent}")


def check_sites(model: nn.Module, sites: Sequence[PlacedSite], images: Tensor) -> None:
    """Compare probabilities · values with what every fused attention really returns.

    Args:
        model: In evaluation mode.
        sites: Where it attends.
        images: One small minibatch of normalised pixels [n, 3, height, width].

    Raises:
        ResultError: an attention is not what its arguments say, or its rows do not sum to one.
    """

    def compare(index: int, image: int, part: slice, rows: Tensor) -> None:
        del image, part
        if sites[index].site.applied:
            return
        sums = rows.sum(-1)
        if math.isfinite(float(sums.max())) and float((sums - 1).abs().max()) > TOLERANCE:
            raise ResultError(
                f"attention of {sites[index].name} of {type(model).__name__} does not sum to one: "
                "it cannot be measured. Where its forward pass computes in half precision "
                "(torch.autocast), let it compute in float32"
            )

    watching = _Capturing(sites, len(images), compare, is_checked=True)
    with torch.inference_mode(), watching:
        model(images)
    silent = [site.name for i, site in enumerate(sites) if i not in watching.reached]
    if silent:
        raise ResultError(f"no forward pass of {type(model).__name__} reached {silent}")


class _Capturing(TorchFunctionMode):
    """Meets the calls of a trace again, by their number."""

    def __init__(
        self,
        sites: Sequence[PlacedSite],
        images: int,
        on_rows: OnRows,
        is_checked: bool = False,
    ) -> None:
        super().__init__()
        self._wanted = {(s.site.function, s.site.ordinal): i for i, s in enumerate(sites)}
        self._sites, self._images, self._on_rows = sites, images, on_rows
        self._counts = {"fused": 0, "product": 0, "multi_head": 0}
        self._is_checked = is_checked
        self.reached: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        kind = "fused" if name == FUSED else "multi_head" if name == MULTI_HEAD else "product"
        if kind == "product" and name not in MATMULS:
            return func(*args, **kwargs)
        index = self._wanted.get((kind, self._counts[kind]))
        self._counts[kind] += 1
        given = func(*args, **kwargs)
        if index is not None:
            self.reached.add(index)
            with torch.no_grad():
                self._see(kind, index, func, args, kwargs, given)
        return given

    def _see(
        self,
        kind: str,
        index: int,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        given: Any,
    ) -> None:
        site = self._sites[index]
        if kind == "fused":
            self._fused(index, fused_arguments(args, kwargs), given)
            return
        if kind == "multi_head":
            bound = inspect.signature(func).bind(*args, **kwargs)
            bound.arguments |= {"need_weights": True, "average_attn_weights": False}
            _, whole = func(*bound.args, **bound.kwargs)
        else:
            whole = operands(args)[site.site.operand]
        whole = whole.permute(*site.lead, site.query_axis, site.key_axis)
        per_image = whole.shape[0] // self._images
        for image in range(self._images):
            own = whole.narrow(0, image * per_image, per_image)
            slices = own.reshape(site.slices, *own.shape[-2:]).float()
            self._on_rows(index, image, slice(0, site.slices), slices)

    def _fused(self, index: int, given_to: list[Any], output: Tensor) -> None:
        site = self._sites[index]
        query, key, value, mask, _, is_causal, scale, _ = given_to
        if key.dim() > 3 and key.shape[-3] not in (1, query.shape[-3]):
            times = query.shape[-3] // key.shape[-3]
            key = key.repeat_interleave(times, dim=-3)
            value = value.repeat_interleave(times, dim=-3)
        lead = torch.broadcast_shapes(query.shape[:-2], key.shape[:-2])
        scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        parts = [x.expand(*lead, *x.shape[-2:]) for x in (query, key, value)]
        if mask is not None:
            mask = mask.expand(*lead, query.shape[-2], key.shape[-2])
        per_image = lead[0] // self._images
        most = max(CHUNK_BYTES // (4 * query.shape[-2] * key.shape[-2]), 1)

        def of_image(x: Tensor, image: int) -> Tensor:
            own = x.narrow(0, image * per_image, per_image)
            return own.reshape(site.slices, *own.shape[-2:])

        for image in range(self._images):
            q, k, v = (of_image(x, image) for x in parts)
            bias = None if mask is None else of_image(mask, image)
            for begin in range(0, site.slices, most):
                part = slice(begin, min(begin + most, site.slices))
                rows = _probabilities(q[part], k[part], bias, part, scale, is_causal)
                if self._is_checked:
                    own = of_image(output, image)[part]
                    self._compare(site, rows @ v[part].float(), own)
                self._on_rows(index, image, part, rows)

    def _compare(self, site: PlacedSite, found: Tensor, output: Tensor) -> None:
        largest = float(output.abs().max())
        if not math.isfinite(largest):  # a network that diverged; the dump says where
            return
        difference = float((found - output).abs().max())
        if not difference <= TOLERANCE * largest:
            raise ResultError(
                f"attention of {site.name} is not what its queries and keys say (outputs of up to "
                f"{largest:.3g} differ by {difference:.3g}): it cannot be measured. Where its "
                "forward pass is in half precision (torch.autocast), let it compute in float32"
            )


def _probabilities(
    query: Tensor,
    key: Tensor,
    bias: Tensor | None,
    part: slice,
    scale: float,
    is_causal: bool,
) -> Tensor:
    """Softmax of scaled products [slices, queries, keys], in float32."""
    scores = (query * scale) @ key.transpose(-2, -1)
    if bias is not None:
        own = bias[part]
        scores = scores.masked_fill(~own, -math.inf) if own.dtype == torch.bool else scores + own
    if is_causal:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(hidden, -math.inf)
    return scores.float().softmax(dim=-1)
