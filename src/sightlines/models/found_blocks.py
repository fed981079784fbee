"""Finds the blocks of any network from one traced forward pass: no table says what they are.

A block is a module that all information passes through at its end, and within which it does not
pass through one part after the other: it has branches (a skip connection, parallel convolutions).
Modules that are chains of such blocks (stages) are opened. A class of modules of which one instance
has branches is a class of blocks, also where an instance has none (MobileNet's without a skip).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sightlines.models import places as along_with
from sightlines.models.places import Places
from sightlines.models.tracing import IMAGES, Call, Output, Trace

FEW = 3
"""Of a chain of more plain layers than these, such as a VGG, the first is the stem."""
BEFORE = ("stem", "patch_embed", "conv_stem", "embed", "embeddings", "patch_embeds", "conv_proj")
"""Names of modules that are no blocks: what cuts the image into tokens or a first map."""
CONTAINERS = (nn.Sequential, nn.ModuleList)


@dataclass(frozen=True)
class Grid:
    """How a tensor [n, …] becomes a map [n, features, rows, columns] or tokens.

    Attributes:
        rows: Of places.
        columns: Of places.
        axes: Axes over which places differ, in order.
        order: Entry of the flattened axes at each place, row after row; empty where they are in
            that order.
        prefix: Entries without a place, before the others; -1 where they stand elsewhere.
    """

    rows: int
    columns: int
    axes: tuple[int, ...]
    order: tuple[int, ...]
    prefix: int


@dataclass(frozen=True)
class Found:
    """One block or other layer.

    Attributes:
        path: Of its module.
        output: Which of the module's outputs it is.
        grid: Its places; None where it has none.
        kind: ``embed``, ``block``, ``norm`` or ``class`` (a block of class tokens alone).
    """

    path: str
    output: Output
    grid: Grid | None
    kind: str
    module: nn.Module


def find(trace: Trace, extra: Sequence[str] = ()) -> list[Found]:
    """Stem, blocks and last norm in the order in which they compute.

    Args:
        trace: Of the network.
        extra: Paths of modules that end a block by what the network says of itself (timm's
            `feature_info`), where all information passes through them.
    """
    finder = _Finder(trace)
    ends = finder.blocks()
    first = min((call.begin for call in ends), default=0)
    more = [c for c in finder.passing if c.path in extra and not finder.has(ends, c)]
    early = [c for c in more if c.end <= first]
    ends += [c for c in more if c.end > first]
    ends.sort(key=lambda call: (call.end, -call.begin))
    stem = finder.before(ends)
    if stem and not finder.has(early, stem):
        early.append(stem)
    early.sort(key=lambda call: call.end)
    found = [each for call in early for each in finder.of(call, "embed")]
    for call in ends:
        found += finder.of(call, "block")
    if ends and found[-1].kind == "block":
        last = finder.norm_after(ends[-1], found[-1])
        found += finder.of(last, "norm") if last else []
    return found


def has_branches(trace: Trace, before: str | None = None) -> bool:
    """Whether some module has branches, as blocks have.

    Args:
        trace: Of a network.
        before: Path of a module: only those count that ended before it began.
    """
    finder = _Finder(trace)
    begins = [call.begin for call in trace.calls if call.path == before]
    return any(
        _size(call) > 0 and not finder.is_chain(call)
        for call in trace.calls
        if call.path in finder.once and not isinstance(call.module, CONTAINERS)
        if before is None or call.end <= min(begins)
    )


def is_below(path: str, other: str) -> bool:
    """Whether another module is this one or part of it."""
    return other == path or other.startswith(f"{path}.")


class _Finder:
    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.root = trace.calls[0]
        self.reaching = _reaching(trace)
        counts: dict[str, int] = {}
        for call in trace.calls:
            counts[call.path] = counts.get(call.path, 0) + 1
        self.once = {path for path, count in counts.items() if count == 1}
        self.edges = sorted(trace.edges)
        self.parts: dict[int, set[int]] = {}
        for before, after in self.edges:
            own = self.parts.setdefault(trace.roots.get(after, after), set())
            own.add(trace.roots.get(before, before))
        self.branching: set[type] = set()
        self.passing: list[Call] = []
        self.outermost: dict[tuple[int, ...], Call] = {}
        for call in trace.calls[1:]:
            key = tuple(output.node for output in call.outputs)
            if call.path in self.once and key and key not in self.outermost:
                self.outermost[key] = call

    def blocks(self) -> list[Call]:
        """Calls of blocks, in order."""
        self._classify()
        found = [*self._opened(self.root)]
        blocks = [call for call, is_block in found if is_block]
        if blocks:
            return blocks
        return _plain([call for call, _ in found if self._is_placed(call)])

    def has(self, ends: Sequence[Call], call: Call) -> bool:
        """Whether one of some calls gave the same numbers."""
        own = self._roots(call)
        return any(own & self._roots(each) for each in ends)

    def _roots(self, call: Call) -> set[int]:
        return {self.trace.roots.get(o.node, o.node) for o in call.outputs}

    def of(self, call: Call, kind: str) -> list[Found]:
        """What a call gave, of which something is said for each image."""
        if kind != "block":
            call = self.outermost.get(tuple(o.node for o in call.outputs), call)
        found = []
        for output in call.outputs:
            is_own = output.node > call.begin or len(call.outputs) == 1
            if output.shape[0] != IMAGES or len(output.shape) < 3 or not is_own:
                continue
            grid = grid_of(output.places, output.shape, self.trace.size_px)
            grid = grid or guessed(output.shape)
            own = "class" if kind == "block" and grid is None else kind
            found.append(Found(call.path, output, grid, own, call.module))
        placed = [each for each in found if each.grid]
        return placed or found

    def before(self, ends: Sequence[Call]) -> Call | None:
        """The last module that ended before the first block and that all passes through."""
        if not ends:
            return None
        first = min(call.begin for call in ends)
        placed = [
            call
            for call in self.trace.calls[1:]
            if call.path in self.once
            and call.end <= first
            and self._passes(call, self.root)
            and self._is_placed(call)
        ]
        return max(placed, key=lambda call: (call.end, -call.begin), default=None)

    def _is_placed(self, call: Call) -> bool:
        size = self.trace.size_px
        return any(grid_of(o.places, o.shape, size) for o in call.outputs)

    def norm_after(self, last: Call, block: Found) -> Call | None:
        """The norm of all places after the last block."""
        for call in self.trace.calls:
            if call.begin < last.end or call.path not in self.once or not call.outputs:
                continue
            output = call.outputs[0]
            is_norm = "norm" in type(call.module).__name__.lower()
            if is_norm and output.shape == block.output.shape and not call.module.training:
                return call
            if is_norm or _weights(call.module):
                return None
        return None

    def _classify(self) -> None:
        """Classes of modules of which one instance has branches, and none is a list of blocks."""
        lists: set[type] = set()
        for own in self.trace.calls[1:]:
            if isinstance(own.module, CONTAINERS) or own.path not in self.once:
                continue
            if not self.is_chain(own) and _size(own):
                self.branching.add(type(own.module))
            elif self._listed(own):
                lists.add(type(own.module))
        self.branching -= lists

    def is_chain(self, call: Call) -> bool:
        """Whether all information passes through each of its parts, one after the other."""
        parts = [c for c in call.children if _comes_of_image(c)]
        weighty = [c for c in parts if _has_parameters(c.module)]
        if not weighty:
            return not _size(call) or not call.children
        if all(c.path in self.once and self._passes(c, call) for c in weighty):
            return True
        return bool(self._listed(call))

    def _listed(self, call: Call) -> list[Call]:
        """Modules of one list and class that all passes through in turn, up to the call's end.

        A later one may look at what modules beside the list gave (GC ViT's global queries).
        """
        lists: dict[tuple[str, type], list[Call]] = {}
        for child in call.children:
            holder, _, name = child.path.rpartition(".")
            is_list = holder != call.path and name.isdigit() and child.children
            if is_list and not isinstance(child.module, CONTAINERS):
                lists.setdefault((holder, type(child.module)), []).append(child)
        for own in lists.values():
            later = [c for c in call.children if c.begin >= own[-1].end]
            is_last = len(own) > 1 and not any(_has_weights(c.module) for c in later)
            if is_last and all(c.path in self.once and self._passes(c, call, True) for c in own):
                return own
        return []

    def _opened(self, call: Call) -> Iterator[tuple[Call, bool]]:
        """Blocks, and plain layers between them, that all information passes through."""
        listed = self._listed(call)
        for child in call.children:
            if child.path not in self.once or not _comes_of_image(child):
                continue
            if not self._passes(child, call, child in listed):
                continue
            self.passing.append(child)
            if self._wraps(call, child):
                yield from self._opened(child)
            elif type(child.module) in self.branching or not self.is_chain(child):
                is_early = any(part in BEFORE for part in child.path.split("."))
                yield child, _size(child) > 0 and not is_early
            elif child.children:
                yield from self._opened(child)
            else:
                yield child, False

    def _wraps(self, call: Call, child: Call) -> bool:
        """Whether a part is all of a network that gives scores: two heads make it no chain."""
        is_all = sum(_has_parameters(c.module) for c in call.children) == 1
        is_map = any(len(output.shape) > 2 for output in child.outputs)
        return is_all and not is_map and len(child.children) > 1

    def _passes(self, call: Call, within: Call, is_list: bool = False) -> bool:
        """Whether what comes after a call comes of what it gave.

        At the top a later module may look at what earlier ones gave, besides (NASNet's cells,
        fusions of stages), and at sums of it (HRNet's last branches).
        """
        own = self._roots(call)
        if not own:
            return False
        if within is self.root or is_list:
            for each in within.children:
                own |= self._roots(each) if each.end <= call.end else set()
        is_top = within is self.root
        for before, after in self._crossing(call.end, within.end):
            given = self.trace.roots.get(before, before)
            is_known = given in own or (is_top and self._is_sum(given, own))
            if not is_known and after in self.reaching:
                return False
        return True

    def _is_sum(self, node: int, known: set[int]) -> bool:
        """Whether a tensor is computed from several others, all of which are known."""
        parts = self.parts.get(node, set())
        return len(parts) > 1 and parts <= known

    def _crossing(self, at: int, until: int) -> Iterator[tuple[int, int]]:
        for before, after in self.edges:
            if before > at:
                break
            if at < after <= until:
                yield before, after


def _reaching(trace: Trace) -> set[int]:
    """Tensors of which the model's output comes."""
    backward: dict[int, list[int]] = {}
    for before, after in trace.edges:
        backward.setdefault(after, []).append(before)
    found, left = set(trace.ends), list(trace.ends)
    while left:
        for before in backward.get(left.pop(), ()):
            if before not in found:
                found.add(before)
                left.append(before)
    return found


def _plain(chain: Sequence[Call]) -> list[Call]:
    """Of a chain of plain layers: the last of each convolution with its norm and activation."""
    found: list[Call] = []
    is_open = False
    for call in chain:
        if _weights(call.module) or _size(call):
            found.append(call)
            is_open = True
        elif is_open and "pool" not in type(call.module).__name__.lower():
            found[-1] = call
        else:
            is_open = False
    return found[1:] if len(found) > FEW else found


def _weights(module: nn.Module) -> bool:
    return any(p.dim() > 1 for p in module.parameters(recurse=False))


def _has_weights(module: nn.Module) -> bool:
    return any(_weights(m) for m in module.modules())


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _size(call: Call) -> int:
    """Modules with weights below a call."""
    if not call.children:
        return 0
    return sum(_weights(m) for m in call.module.modules())


def _comes_of_image(call: Call) -> bool:
    return bool(call.outputs)


# -- places of an output --------------------------------------------------------------------------


def grid_of(found: Places | None, shape: Sequence[int], size_px: int) -> Grid | None:
    """Rows and columns of a tensor's places, and where each stands; None where it has no grid."""
    if found is None or found.keys is not None or len(shape) < 3:
        return None
    own = found.own[0]
    axes = tuple(d + 1 for d in range(own.dim()) if along_with.varies(own, d))
    if not axes:
        return None
    for d in range(own.dim()):
        if d + 1 not in axes:
            own = own.narrow(d, 0, 1)
    flat = own.flatten()
    image, y, x = along_with.decoded(flat)
    placed = (y >= 0) & (y <= size_px) & (x >= 0) & (x <= size_px)
    where = placed.nonzero().flatten()
    if len(where) < 2 or bool((image[placed] != 0).any()):
        return None
    ys, xs = _steps(y[placed]), _steps(x[placed])
    rows, columns = int(ys.max()) + 1, int(xs.max()) + 1
    if rows * columns != len(where):
        return None
    cells = ys * columns + xs
    if len(torch.unique(cells)) != len(cells):
        return None
    order = where[torch.argsort(cells)]
    prefix = int(where.min())
    if len(where) + prefix != len(flat):
        return None
    is_raster = torch.equal(order, torch.arange(prefix, len(flat)))
    return Grid(rows, columns, axes, () if is_raster else tuple(order.tolist()), prefix)


def _steps(values: Tensor) -> Tensor:
    """Rank of each value among those that differ."""
    ordered, back = torch.unique((values * 1024).round(), return_inverse=True)
    del ordered
    return back  # type: ignore[no-any-return]


def guessed(shape: Sequence[int]) -> Grid | None:
    """Of a value of which nothing is known: a square map with channels first or last."""
    if len(shape) == 4 and shape[2] == shape[3] > 1:
        return Grid(shape[2], shape[3], (2, 3), (), 0)
    if len(shape) == 4 and shape[1] == shape[2] > 1:
        return Grid(shape[1], shape[2], (1, 2), (), 0)
    return None
