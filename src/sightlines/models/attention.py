"""What every attention head looks at, whatever kernel computes the attention itself.

The probabilities are computed a second time from the module's input, in float32 and in chunks of
queries, so that fused kernels stay on and no [heads, tokens, tokens] of all blocks is ever held.
"""

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sightlines.core.errors import ResultError

OnAttention = Callable[[int, Tensor, int], None]
"""Called with the block, the probabilities [n, heads, queries, tokens] and the first query."""
EXACT = (
    "timm.layers.attention.Attention",
    "timm.models.vision_transformer_relpos.RelPosAttention",
)
"""Classes of modules whose attention is known to the letter."""
TOLERANCE = 1e-4
"""Of `check_attention`, relative to the largest output: float32 in two orders of summation."""
QUERY_CHUNK = 256


READS_MAPS = "sightlines_reads_maps"
"""Attribute of a network whose layers come as maps, without the tokens that have no place."""


def prefix_tokens(model: nn.Module) -> int:
    """Number of tokens before the patches': class token, distillation token, registers.

    None where the network's layers come as maps (`found_layers`).
    """
    if getattr(model, READS_MAPS, False):
        return 0
    return int(getattr(model, "num_prefix_tokens", 0))


def has_class_token(model: nn.Module) -> bool:
    """Whether the first of the prefix tokens is a class token, rather than a register."""
    return prefix_tokens(model) > 0 and getattr(model, "cls_token", None) is not None


def attention_modules(model: nn.Module) -> list[nn.Module]:
    """The self-attention modules in the order of the blocks; none for a convolutional network.

    Modules that compute something else (windows, rotary positions, gates, differences) are none.
    """
    return [module for module in model.modules() if is_exact(module)]


def is_exact(module: object) -> bool:
    """Whether a module's attention is softmax(QKᵀ/√d + bias), as it is recomputed here."""
    for cls in type(module).__mro__:
        if f"{cls.__module__}.{cls.__name__}" in EXACT:
            norm = getattr(module, "norm", None)
            is_plain = norm is None or isinstance(norm, nn.Identity)
            return is_plain and getattr(module, "gate", None) is None
        if "forward" in vars(cls):
            return False
    return False


@contextlib.contextmanager
def capture_attention(
    model: nn.Module, on_attention: OnAttention, query_chunk: int
) -> Iterator[None]:
    """Hand every block's attention to `on_attention` while the block runs forward passes.

    Args:
        model: A ViT.
        on_attention: Receives block, probabilities [n, heads, queries, tokens] in float32 (rows
            sum to 1 over all tokens, the class token first where there is one) and the index of
            the first query in the chunk. Chunks come in order.
        query_chunk: Largest number of queries in one call.

    Raises:
        LookupError: the model has no attention.
        ResultError: a forward pass gave a module a mask.
    """
    modules = attention_modules(model)
    if not modules:
        raise LookupError(f"{type(model).__name__} has no attention modules")
    handles = []
    try:
        for block, module in enumerate(modules):
            handles.append(_watch(module, block, on_attention, query_chunk))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _watch(module: nn.Module, block: int, on_attention: OnAttention, query_chunk: int) -> Any:
    def before(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        with torch.no_grad():
            tokens, bias = _tokens_and_bias(module, arguments, named)
            queries, keys = queries_and_keys(module, tokens)
            for start, rows in _chunks(queries.shape[2], query_chunk):
                part = None if bias is None else bias[:, :, rows]
                on_attention(block, attention_probabilities(queries[:, :, rows], keys, part), start)

    return module.register_forward_pre_hook(before, with_kwargs=True)


@contextlib.contextmanager
def capture_first_row(model: nn.Module, on_row: Callable[[Tensor], None]) -> Iterator[None]:
    """Hand the first token's attention in the last block to `on_row` while the block runs passes.

    Args:
        model: A ViT whose first token is its class token.
        on_row: Receives probabilities [n, heads, tokens] in float32.

    Raises:
        LookupError: the model has no attention.
        ResultError: a forward pass gave the module a mask.
    """
    modules = attention_modules(model)
    if not modules:
        raise LookupError(f"{type(model).__name__} has no attention modules")

    def before(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        with torch.no_grad():
            tokens, bias = _tokens_and_bias(module, arguments, named)
            queries, keys = queries_and_keys(module, tokens)
            part = None if bias is None else bias[:, :, :1]
            on_row(attention_probabilities(queries[:, :, :1], keys, part)[:, :, 0])

    handle = modules[-1].register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _chunks(queries: int, most: int) -> Iterator[tuple[int, slice]]:
    for start in range(0, queries, most):
        yield start, slice(start, start + most)


def _tokens_and_bias(
    module: Any, arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Tensor, Tensor | None]:
    """What one call gave a module [n, tokens, width], and what it adds to QKᵀ, if anything.

    The bias, of relative positions, is [1, heads, tokens, tokens].
    """
    given = inspect.signature(module.forward).bind(*arguments, **named).arguments
    if given.get("attn_mask") is not None or given.get("is_causal"):
        raise ResultError("a mask hides tokens from each other: this attention cannot be measured")
    own = getattr(module, "rel_pos", None)
    return given["x"], given.get("shared_rel_pos") if own is None else own.get_bias()


def queries_and_keys(module: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Scaled queries and keys [n, heads, tokens, features of a head] of one attention module.

    Args:
        module: timm's `Attention`.
        tokens: Its input [n, tokens, width].
    """
    queries, keys = _projected(module, tokens, 0, 2)
    return module.q_norm(queries) * module.scale, module.k_norm(keys)


def _projected(module: Any, tokens: Tensor, first: int, last: int) -> tuple[Tensor, ...]:
    """Those of queries, keys and values from `first` on and before `last`."""
    width = module.num_heads * module.head_dim
    rows = slice(first * width, last * width)
    bias = None if module.qkv.bias is None else module.qkv.bias[rows]
    found = functional.linear(tokens, module.qkv.weight[rows], bias)
    shape = (*tokens.shape[:2], last - first, module.num_heads, module.head_dim)
    return found.reshape(shape).permute(2, 0, 3, 1, 4).unbind(0)


def attention_probabilities(queries: Tensor, keys: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax over all keys [n, heads, queries, tokens] of scaled queries, in float32.

    Args:
        queries: Scaled, [n, heads, queries, features].
        keys: [n, heads, tokens, features].
        bias: Added before the softmax, [1, heads, queries, tokens].
    """
    scores = queries @ keys.transpose(-2, -1)
    return (scores if bias is None else scores + bias).float().softmax(dim=-1)


def check_attention(model: nn.Module, images: Tensor) -> None:
    """Compare softmax(QK)V, projected, with what every attention module really returns.

    Args:
        model: In evaluation mode; left as it is, with its fused kernels on or off.
        images: One small minibatch of normalised pixels [n, 3, height, width].

    Raises:
        LookupError: the model has no attention.
        ResultError: a module returns something else than its attention as captured here would
            give, or a forward pass reached none or not all of them.
    """
    modules = attention_modules(model)
    if not modules:
        raise LookupError(f"{type(model).__name__} has no attention modules")
    seen: set[int] = set()

    def compare(
        module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], output: Tensor
    ) -> None:
        tokens, bias = _tokens_and_bias(module, arguments, named)
        block = modules.index(module)
        seen.add(block)
        largest = float(output.abs().max())
        if not math.isfinite(largest):  # a network that diverged; the dump says where
            return
        difference = float((_attended(module, tokens, bias) - output).abs().max())
        if not difference <= TOLERANCE * largest:
            raise ResultError(
                f"attention of block {block} of {type(model).__name__} is not what its queries and "
                f"keys say (outputs of up to {largest:.3g} differ by {difference:.3g}): it cannot "
                "be measured"
            )

    handles = [m.register_forward_hook(compare, with_kwargs=True) for m in modules]
    try:
        with torch.inference_mode():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    silent = sorted({*range(len(modules))} - seen)
    if silent:
        raise ResultError(f"no forward pass reached the attention of the blocks {silent}")


def _attended(module: Any, tokens: Tensor, bias: Tensor | None) -> Tensor:
    """The module's output [n, tokens, width] from its probabilities."""
    queries, keys = queries_and_keys(module, tokens)
    (values,) = _projected(module, tokens, 2, 3)
    parts = []
    for _, rows in _chunks(queries.shape[2], QUERY_CHUNK):
        part = None if bias is None else bias[:, :, rows]
        parts.append(attention_probabilities(queries[:, :, rows], keys, part) @ values.float())
    joined = torch.cat(parts, dim=2).transpose(1, 2).flatten(2)
    output: Tensor = module.proj(joined.to(tokens.dtype))
    return output
