"""One traced forward pass: what computes in which order, from what, and where in the image it is.

Nothing needs numbers: parameters lie on torch's meta device while the pass runs, and only the
companions of `models/places.py` are real. Two things are seen of every call of torch. The functions
that Python calls are counted, so that an attention found here can be met again, call for call, in
another pass. The operations below them (aten) say which tensor comes of which, and move the places.
"""

import contextlib
import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.weak import WeakTensorKeyDictionary

from sightlines.models import places as along_with
from sightlines.models.places import Places, nowhere

IMAGES = 2
MATMULS = frozenset("matmul __matmul__ __rmatmul__ bmm einsum baddbmm".split())
FUSED = "scaled_dot_product_attention"
MULTI_HEAD = "multi_head_attention_forward"
OWN = ("aten", "prims", "torchvision", "prim")
"""Namespaces of operations that are no kernels of somebody's own."""


@dataclass(frozen=True)
class Output:
    """One tensor that a module gave.

    Attributes:
        pick: Its place in the tuple, list or dictionary that the module gives; empty for a tensor.
        node: Which tensor of the pass it is.
        shape: For `IMAGES` images.
        places: Where its numbers stand, where that is known.
    """

    pick: tuple[Any, ...]
    node: int
    shape: tuple[int, ...]
    places: Places | None


@dataclass(eq=False)
class Call:
    """One call of a module.

    Attributes:
        path: Of the module.
        module: Itself.
        parent: The call that it is part of; None for the model.
        begin: Tensors computed before it.
        end: Tensors computed until it ended.
        outputs: What it gave.
    """

    path: str
    module: nn.Module
    parent: "Call | None"
    begin: int
    end: int = 0
    outputs: tuple[Output, ...] = ()
    children: "list[Call]" = field(default_factory=list)


@dataclass(frozen=True)
class Site:
    """One attention.

    Attributes:
        function: ``fused`` (scaled_dot_product_attention), ``product`` (probabilities · values) or
            ``multi_head`` (multi_head_attention_forward).
        ordinal: How many calls of that kind come before it.
        operand: Of a product, which argument holds the probabilities.
        module: Path of the innermost module that called it.
        queries: Places of the queries, [..., queries, keys], expanded.
        keys: Places of the keys, alike.
        shape: Of the probabilities for `IMAGES` images.
        applied: What was done to them after the softmax.
    """

    function: str
    ordinal: int
    operand: int
    module: str
    queries: Tensor
    keys: Tensor
    shape: tuple[int, ...]
    applied: tuple[str, ...]


@dataclass
class Trace:
    """What one forward pass showed.

    Attributes:
        size_px: Side of the images.
        roots: Of tensors that hold the same numbers as another, in another shape: which one.
        calls: Of modules, in the order in which they begin.
        edges: Which tensor is computed from which.
        ends: Tensors that the model gives.
        sites: Attention over places, in order.
        others: What else goes through a softmax or a fused attention, by module, and why it is no
            attention over places.
        mixings: Modules that add up one tensor by weights of another, where both are computed from
            the images: attention of any kind, linear, over channels, as a sum over places, and
            mixing by a state space. Gates multiply, and add up nothing.
        kernels: Operations of other libraries.
    """

    size_px: int
    calls: list[Call] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    roots: dict[int, int] = field(default_factory=dict)
    ends: tuple[int, ...] = ()
    sites: list[Site] = field(default_factory=list)
    others: list[tuple[str, str]] = field(default_factory=list)
    mixings: list[str] = field(default_factory=list)
    kernels: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    asks_numbers: bool = False
    """Whether places went by an order that numbers tell, of which a pass without them had none."""


def trace(
    model: nn.Module,
    size_px: int,
    run: Callable[[Tensor], Any] | None = None,
    is_real: bool = False,
) -> Trace:
    """Show a model two images and note what happens.

    Args:
        model: In evaluation mode.
        size_px: Side of the images.
        run: What is traced; by default the forward pass on torch's meta device.
        is_real: Whether to compute with the model's own numbers, for models that ask a tensor for
            its value.
    """
    found = Trace(size_px)
    where = next((p.device for p in model.parameters()), torch.device("cpu"))
    device = where if is_real else torch.device("meta")
    images = torch.zeros(IMAGES, 3, size_px, size_px, device=device)
    watching = _Watching(found)
    watching.note(images, along_with.of_pixels(IMAGES, 3, size_px, size_px))
    model = model if is_real else without_numbers(model)
    call = run or model
    with torch.no_grad(), watching.modules(model), _Functions(watching), _Operations(watching):
        given = call(images)
    found.ends = tuple(output.node for output in watching.outputs_of(given))
    return found


def without_numbers(model: nn.Module) -> nn.Module:
    """A copy of a model on torch's meta device, of which no parameter is ever copied."""
    tensors = [*model.parameters(), *model.buffers()]
    memo: dict[int, Any] = {}
    for tensor in tensors:
        empty = tensor.detach().to("meta")
        is_parameter = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(empty, requires_grad=False) if is_parameter else empty
    return copy.deepcopy(model, memo)


class _Watching:
    """What both modes note."""

    def __init__(self, found: Trace) -> None:
        self.found = found
        self.count = itertools.count()
        self.last = 0
        self.nodes = WeakTensorKeyDictionary()
        self.places = WeakTensorKeyDictionary()
        self.weighted = WeakTensorKeyDictionary()
        self.stack: list[Call] = []
        self.calls = {"fused": 0, "product": 0, "multi_head": 0}

    def note(self, tensor: Tensor, found: Places | None) -> int:
        self.last = next(self.count)
        self.nodes[tensor] = self.last
        if found is not None and found.own.shape == tensor.shape:
            self.places[tensor] = found
        elif tensor in self.places:
            del self.places[tensor]
        return self.last

    def note_again(self, tensor: Tensor, found: Places) -> None:
        """Set the places of a tensor that was noted already."""
        if found.own.shape == tensor.shape:
            self.places[tensor] = found

    @property
    def path(self) -> str:
        return self.stack[-1].path if self.stack else ""

    def of(self, tensor: Any) -> Places | None:
        return self.places.get(tensor) if isinstance(tensor, Tensor) else None

    def outputs_of(self, given: Any) -> list[Output]:
        return [
            Output(pick, self.nodes[tensor], tuple(tensor.shape), self.of(tensor))
            for pick, tensor in tensors_of(given)
            if tensor in self.nodes
        ]

    @contextlib.contextmanager
    def modules(self, model: nn.Module) -> Iterator[None]:
        handles = []
        try:
            for path, module in model.named_modules():
                handles += self._watch(path, module)
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _watch(self, path: str, module: nn.Module) -> list[Any]:
        if isinstance(module, torch.jit.ScriptModule):
            return []

        def before(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            del arguments
            parent = self.stack[-1] if self.stack else None
            call = Call(path, module, parent, self.last)
            self.found.calls.append(call)
            if parent:
                parent.children.append(call)
            self.stack.append(call)

        def after(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            del module, arguments
            call = self.stack.pop()
            call.end = self.last
            call.outputs = tuple(self.outputs_of(output))

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    def add_site(self, function: str, operand: int, found: Places) -> None:
        assert found.keys is not None
        axis = along_with.key_axis(found)
        if axis < 0:
            self.found.others.append((self.path, "the keys have no places"))
            return
        self.found.sites.append(
            Site(
                function,
                self.calls[function],
                operand,
                self.path,
                found.own,
                found.keys,
                tuple(found.own.shape),
                found.applied,
            )
        )


def tensors_of(given: Any, pick: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Tensor]]:
    """Tensors in what a module gives, each with its place in tuples, lists and dictionaries."""
    if isinstance(given, Tensor):
        yield pick, given
    elif isinstance(given, dict):
        for key, value in given.items():
            yield from tensors_of(value, (*pick, key))
    elif isinstance(given, list | tuple):
        for index, value in enumerate(given):
            yield from tensors_of(value, (*pick, index))


class _Functions(TorchFunctionMode):
    """Counts the functions of torch by which attention is computed."""

    def __init__(self, watching: _Watching) -> None:
        super().__init__()
        self._seen = watching

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == FUSED:
            return self._fused(func, args, kwargs)
        if name == MULTI_HEAD:
            return self._multi_head(func, args, kwargs)
        if name == "flex_attention":
            self._seen.found.kernels.append("flex_attention")
        if name not in MATMULS:
            return func(*args, **kwargs)
        known = [self._seen.of(each) for each in operands(args)]
        products = sum(found is not None and found.keys is not None for found in known)
        for index, found in enumerate(known):
            # Of two, neither multiplies values: a product of probabilities, for a loss or another.
            if found and found.keys is not None and found.is_softmax and products == 1:
                self._seen.add_site("product", index, found)
                break
        given = func(*args, **kwargs)
        self._seen.calls["product"] += 1
        return given

    def _fused(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        query, key = fused_arguments(args, kwargs)[:2]
        seen = self._seen
        site = _pair(seen.of(query), seen.of(key), query.shape, key.shape)
        if site is None:
            seen.found.others.append((seen.path, "its tokens have no places"))
        else:
            seen.add_site("fused", 0, site)
        if query in seen.nodes and key in seen.nodes:
            seen.found.mixings.append(seen.path)
        given = func(*args, **kwargs)
        seen.calls["fused"] += 1
        own = seen.of(query)
        if own is not None and not along_with.varies(own.own, own.own.dim() - 1):
            moved = along_with.along(own.own, -1, given.shape[-1])
            seen.note_again(given, Places(moved.expand(given.shape)))
        return given

    def _multi_head(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        names = ("query", "key", "value")
        query, key = (
            kwargs.get(n, args[i] if len(args) > i else None) for i, n in enumerate(names[:2])
        )
        seen = self._seen
        heads = kwargs.get("num_heads", args[4] if len(args) > 4 else 1)
        q, k = seen.of(query), seen.of(key)
        bias = kwargs.get("bias_k", args[7] if len(args) > 7 else None)
        further = (bias is not None) + kwargs.get("add_zero_attn", len(args) > 9 and args[9])

        def per_head(found: Places | None, tensor: Any, further: int = 0) -> Places | None:
            if found is None:
                return None
            own = found.own if tensor.dim() == 3 else found.own[:, None]
            own = own[..., :1].permute(1, 0, 2)[:, None]
            if further:  # learnt keys, and one of zeros, behind the others
                own = torch.cat([own, nowhere((*own.shape[:2], further, 1))], 2)
            return Places(own.expand(own.shape[0], heads, own.shape[2], 1))

        q, k = per_head(q, query), per_head(k, key, further)
        site = q and k and _pair(q, k, q.own.shape, k.own.shape)
        if site:
            seen.add_site("multi_head", 0, site)
        else:
            seen.found.others.append((seen.path, "its tokens have no places"))
        if all(isinstance(x, Tensor) and x in seen.nodes for x in (query, key)):
            seen.found.mixings.append(seen.path)
        given = func(*args, **kwargs)
        seen.calls["multi_head"] += 1
        own = seen.of(query)
        if own is not None:
            seen.note_again(given[0], own)
        return given


def operands(args: tuple[Any, ...]) -> list[Any]:
    """The tensors of a product, also of one that is written as an equation."""
    listed: list[Any] = []
    for each in args:
        listed += [*each] if isinstance(each, list | tuple) else [each]
    return listed


def fused_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Query, key, value, mask, dropout, is_causal, scale and enable_gqa of a fused attention."""
    names = "query key value attn_mask dropout_p is_causal scale enable_gqa".split()
    found = dict(zip(names, args, strict=False)) | kwargs
    defaults = {"is_causal": False, "enable_gqa": False, "dropout_p": 0.0}
    return [found.get(name, defaults.get(name)) for name in names]


def _pair(
    q: Places | None, k: Places | None, queries: torch.Size, keys: torch.Size
) -> Places | None:
    """Places of a product of queries [..., queries, width] and keys [..., keys, width]."""
    if k is None or along_with.varies(k.own, k.own.dim() - 1):
        return None
    if q is not None and along_with.varies(q.own, q.own.dim() - 1):
        return None
    own = nowhere(queries) if q is None else q.own
    right = k.own[..., :1]
    if right.dim() == own.dim() and right.shape[-3:-2] not in (own.shape[-3:-2], torch.Size([1])):
        times = own.shape[-3] // right.shape[-3]
        right = right.repeat_interleave(times, dim=-3)
    right = right.transpose(-2, -1)
    lead = torch.broadcast_shapes(own.shape[:-2], right.shape[:-2])
    shape = (*lead, queries[-2], keys[-2])
    return Places(own[..., :1].expand(shape), right.expand(shape), is_softmax=True)


class _Operations(TorchDispatchMode):
    """Follows tensors and places from operation to operation."""

    def __init__(self, watching: _Watching) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seen = watching

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        seen = self._seen
        given = func(*args, **kwargs)
        if func.namespace not in OWN:
            seen.found.kernels.append(str(func))
        inputs = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
        nodes = [seen.nodes[x] for x in inputs if x in seen.nodes]
        if not nodes:
            return given
        try:
            _note_mixing(seen, _name(func), args, kwargs, given)
            moved = _move(seen, func, args, kwargs, given)
        except Exception as error:
            seen.found.unknown.add(f"{func}: {type(error).__name__}: {str(error)[:80]}")
            moved = []
        for index, (_, tensor) in enumerate(tensors_of(given)):
            found = moved[index] if index < len(moved) else None
            node = seen.note(tensor, found)
            if _is_view(func) and tensor.numel() == inputs[0].numel():
                seen.found.roots[node] = seen.found.roots.get(nodes[0], nodes[0])
            seen.found.edges += [(each, node) for each in nodes if each != node]
        return given


Moved = list[Places | None]

_VIEWS = frozenset(
    "permute transpose t slice select split split_with_sizes unbind unsqueeze squeeze expand roll "
    "flip diagonal narrow unfold repeat movedim swapaxes pixel_shuffle "
    "pixel_unshuffle channel_shuffle chunk unsafe_split unsafe_split_with_sizes".split()
)
_RESHAPED = frozenset(
    "permute transpose t unsqueeze squeeze clone detach alias contiguous movedim".split()
)
_SHAPES = frozenset("view _unsafe_view reshape _reshape_alias unflatten flatten".split())
_SAME = frozenset(
    "clone detach alias _to_copy contiguous lift_fresh native_layer_norm native_batch_norm "
    "native_group_norm _native_batch_norm_legit_no_training _fused_rms_norm native_dropout "
    "cudnn_batch_norm batch_norm layer_norm group_norm rms_norm _native_batch_norm_legit".split()
)
_REDUCTIONS = frozenset(
    "mean sum amax amin max min logsumexp std var var_mean norm linalg_vector_norm".split()
)
_CHOICES = frozenset("gather index_select".split())
_WRITES = frozenset(
    "scatter scatter_add scatter_reduce index_copy index_put _index_put_impl masked_scatter".split()
)
_PRODUCTS = frozenset("mm bmm addmm baddbmm".split())
_SOFTMAXES = frozenset("_softmax _safe_softmax softmax".split())


def _name(func: Any) -> str:
    """Name of an operation, the same where it writes into its argument."""
    name = str(func._schema.name.split("::")[-1])
    return name.rstrip("_") if name.endswith("_") and not name.endswith("__") else name


def _is_view(func: Any) -> bool:
    name = func._schema.name.split("::")[-1]
    return name in _SHAPES or name in _RESHAPED


def _note_mixing(
    seen: _Watching, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], given: Any
) -> None:
    """Note a sum of one tensor by weights of another, both computed from the images.

    Either a product of matrices, or a product number by number that is then summed over places,
    of which one has one number for all channels (additive attention). A gate, even one for each
    place, is not summed.
    """
    if name in _PRODUCTS:
        pair = args[-2:] if name in ("addmm", "baddbmm") else args[:2]
        if all(x in seen.nodes for x in pair) and pair[0].shape[-1] > 1:
            seen.found.mixings.append(seen.path)
    elif name == "mul":
        pair = args[:2]
        if not all(isinstance(x, Tensor) and x in seen.nodes for x in pair):
            return
        sizes = [[*x.shape] for x in pair]
        places = [seen.of(x) for x in pair]
        if len(sizes[0]) != len(sizes[1]) or sizes[0] == sizes[1] or None in places:
            return
        seen.weighted[given] = {
            d
            for d in range(len(sizes[0]))
            if all(p is not None and along_with.varies(p.own, d) for p in places)
        }
    elif name in ("sum", "mean") and args[0] in seen.weighted:
        dims = args[1] if len(args) > 1 else kwargs.get("dim")
        dims = [dims] if isinstance(dims, int) else dims or ()
        if {d % args[0].dim() for d in dims} & seen.weighted[args[0]]:
            seen.found.mixings.append(seen.path)


def _move(
    seen: _Watching, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], given: Any
) -> Moved:
    """Places of what an operation gives."""
    name = _name(func)
    first = seen.of(args[0]) if args else None
    if name in _SHAPES:
        return [first and first.moved(lambda p: along_with.reshaped(p, given.shape))]
    if name in _VIEWS:
        if first is None:
            return []
        if name == "roll" and len(args) > 2 and args[2]:
            return [first.moved(lambda p: along_with.rolled(p, args[1], args[2]))]
        return _view(func, first, args, kwargs)
    if name in _CHOICES:
        return [_chosen(seen, func, first, args)]
    if name in _WRITES and any(seen.of(x) for x in tree_flatten(args[1:])[0]):
        return []  # where it puts what has places is not followed
    if name in ("sort", "take"):
        return []
    if name in _SAME:
        return [
            first and first.after(name.strip("_").replace("native_", ""))
            if "norm" in name
            else first
        ]
    if name in ("cat", "stack"):
        return [_together(seen, func, args, kwargs)]
    if name == "im2col":
        return [first and first.moved(lambda p: _unfolded(p, *args[1:5]))]
    if name in ("constant_pad_nd", "reflection_pad2d", "replication_pad2d"):
        return [first and first.moved(lambda p: along_with.padded(p, args[1]))]
    if name in _SOFTMAXES:
        return [_softmax(seen, first, args)]
    if name in _PRODUCTS or name == "linear":
        return [_product(seen, name, args, given)]
    if name == "convolution":
        return [_convolution(seen, args, given)]
    if name in ("avg_pool2d", "max_pool2d_with_indices", "max_pool2d", "avg_pool1d"):
        return [_pool(first, args, given if isinstance(given, Tensor) else given[0])]
    if name in ("_adaptive_avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"):
        out = given if isinstance(given, Tensor) else given[0]
        return [_adaptive(first, out)]
    if name.startswith("upsample"):
        return [_upsampled(first, given)]
    if name in _REDUCTIONS:
        return _reduction(name, first, args, kwargs, given)
    if name == "index":
        return [_index(seen, first, args, given)]
    if name in ("copy",):
        other = seen.of(args[1])
        return [other.moved(lambda p: p.expand(tuple(given.shape))) if other else first]
    return _pointwise(seen, name, args, kwargs, given)


def _view(func: Any, first: Places, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Moved:
    own = func(first.own, *args[1:], **kwargs)
    several = isinstance(own, list | tuple)
    keys = None if first.keys is None else func(first.keys, *args[1:], **kwargs)
    if not several:
        return [replace(first, own=own, keys=keys)]
    return [
        replace(first, own=each, keys=None if keys is None else keys[i])
        for i, each in enumerate(own)
    ]


def _together(
    seen: _Watching, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Places | None:
    found = [seen.of(x) for x in args[0]]
    if all(each is None for each in found):
        return None
    own = [nowhere(x.shape) if f is None else f.own for x, f in zip(args[0], found, strict=True)]
    is_stack = func._schema.name.endswith("stack")
    out = own[0].dim() + is_stack
    joint = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % out
    steady = [
        d
        for d in range(own[0].dim())
        if (is_stack or d != joint) and all(p.stride(d) == 0 and p.shape[d] > 1 for p in own)
    ]
    sizes = {d + (is_stack and d >= joint): own[0].shape[d] for d in steady}
    for d in steady:
        own = [p.narrow(d, 0, 1) for p in own]
    together = func(own, *args[1:], **kwargs)
    shape = [sizes.get(d, size) for d, size in enumerate(together.shape)]
    return Places(together.expand(shape))


def _softmax(seen: _Watching, first: Places | None, args: tuple[Any, ...]) -> Places | None:
    if first is None or first.keys is None:
        reason = "over numbers that are no product of queries and keys"
        if first is None:
            reason = "over channels, branches or what has no places"
        seen.found.others.append((seen.path, reason))
        return first
    axis = args[1] % first.own.dim()
    if not along_with.varies(first.keys, axis) or along_with.varies(first.own, axis):
        seen.found.others.append((seen.path, "not over the keys"))
        return first
    return replace(first, is_softmax=True, applied=())


def _product(seen: _Watching, name: str, args: tuple[Any, ...], given: Tensor) -> Places | None:
    left, right = args[-2:] if name in ("addmm", "baddbmm") else args[:2]
    if name == "linear":
        found = seen.of(left)
        if found is None or seen.of(right) is not None:
            return None
        shape = (*left.shape[:-1], given.shape[-1])
        return along_with.product(found, None, shape)[0]
    return along_with.product(seen.of(left), seen.of(right), given.shape)[0]


def _convolution(seen: _Watching, args: tuple[Any, ...], given: Tensor) -> Places | None:
    first, weight = seen.of(args[0]), args[1]
    if first is None or args[6]:
        return None
    kernel = list(weight.shape[2:])
    count = len(kernel)
    stride, padding, dilation = (along_with.arguments_of(a, count) for a in args[3:6])
    return first.moved(
        lambda p: along_with.convolved(p, given.shape, kernel, stride, padding, dilation)
    ).after("heads are mixed")


def _unfolded(
    p: Tensor, kernel: list[int], dilation: list[int], padding: list[int], stride: list[int]
) -> Tensor:
    p = along_with.padded(p, (padding[1], padding[1], padding[0], padding[0]))
    unfold: Any = torch.nn.functional.unfold
    parts = (unfold(part.contiguous(), kernel, dilation, 0, stride) for part in (p.real, p.imag))
    return torch.complex(*parts)


def _pool(first: Places | None, args: tuple[Any, ...], given: Tensor) -> Places | None:
    if first is None:
        return None
    count = 2
    kernel = along_with.arguments_of(args[1], count)
    stride = along_with.arguments_of(args[2], count) if len(args) > 2 and args[2] else kernel
    padding = along_with.arguments_of(args[3], count) if len(args) > 3 else [0] * count
    ones = [1] * count
    return first.moved(
        lambda p: along_with.convolved(p, given.shape, kernel, stride, padding, ones, False)
    )


def _adaptive(first: Places | None, given: Tensor) -> Places | None:
    if first is None or given.shape[-1] * given.shape[-2] == 1:
        return None

    def move(p: Tensor) -> Tensor:
        p = along_with.along(p, 1, 1) if p.dim() == 4 else p
        size = given.shape[-2:]
        pool: Any = torch.nn.functional.adaptive_avg_pool2d
        parts = (pool(part.contiguous(), size) for part in (p.real, p.imag))
        return torch.complex(*parts).expand(given.shape)

    return first.moved(move)


def _upsampled(first: Places | None, given: Tensor) -> Places | None:
    if first is None:
        return None

    def move(p: Tensor) -> Tensor:
        if along_with.varies(p, 1):
            raise ValueError("channels of several places")
        for dim in (p.dim() - 2, p.dim() - 1):
            before, after = p.shape[dim], given.shape[dim]
            at = (torch.arange(after, dtype=torch.float64) + 0.5) * before / after - 0.5
            p = along_with.sampled(along_with.along(p, 1, 1), dim, at)
        return p.expand(given.shape)

    return first.moved(move)


def _reduction(
    name: str, first: Places | None, args: tuple[Any, ...], kwargs: dict[str, Any], given: Any
) -> Moved:
    if first is None or first.keys is not None:
        return []
    own = first.own
    dims = args[1] if len(args) > 1 else kwargs.get("dim")
    if name in ("norm", "linalg_vector_norm"):
        dims = args[2] if len(args) > 2 else None
    if dims is None or isinstance(dims, float):
        return []
    dims = [dims] if isinstance(dims, int) else list(dims)
    out = given if isinstance(given, Tensor) else given[0]
    keepdim = out.dim() == own.dim()
    return [Places(along_with.reduced(own, dims, keepdim))] * (
        1 if isinstance(given, Tensor) else 2
    )


def _chosen(
    seen: _Watching, func: Any, first: Places | None, args: tuple[Any, ...]
) -> Places | None:
    if first is None:
        return None
    dim, index = args[1], args[2]
    if index in seen.nodes:  # what it chooses differs from image to image
        return None
    if index.is_meta:
        seen.found.asks_numbers = True
        return None
    return first.moved(lambda p: func(p, dim, index.cpu()))


def _index(
    seen: _Watching, first: Places | None, args: tuple[Any, ...], given: Tensor
) -> Places | None:
    if first is None:
        return None
    chosen = [(d, x) for d, x in enumerate(args[1]) if x is not None]
    if any(x in seen.nodes and along_with.varies(first.own, d) for d, x in chosen):
        return None  # what it chooses differs from image to image
    if any(x.is_meta for _, x in chosen):  # which ones matters not where all have one place
        dim, index = chosen[0]
        is_one = len(chosen) == 1 and index.dim() == 1 and index.dtype == torch.int64
        if not is_one or first.keys is not None or along_with.varies(first.own, dim):
            seen.found.asks_numbers = True
            return None
        return first.moved(lambda p: along_with.along(p, dim, given.shape[dim]))
    indices = [None if x is None else x.cpu() for x in args[1]]
    return first.moved(lambda p: torch.ops.aten.index.Tensor(p, indices))


def _pointwise(
    seen: _Watching, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], given: Any
) -> Moved:
    """Of anything that gives a number for each number, or for each of a broadcast pair."""
    del kwargs
    tensors = [x for x in tree_flatten(args)[0] if isinstance(x, Tensor)]
    out = given if isinstance(given, Tensor) else next((t for _, t in tensors_of(given)), None)
    if out is None:
        return []
    try:
        shape = torch.broadcast_shapes(*(x.shape for x in tensors))
    except RuntimeError:
        shape = torch.Size()
    if shape != out.shape:
        seen.found.unknown.add(name)
        return []
    found = along_with.joined(
        [seen.of(x) for x in tensors], [x.shape for x in tensors], tuple(out.shape)
    )
    return [found and found.after(name)]
