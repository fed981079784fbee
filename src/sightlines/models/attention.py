"""What every attention head looks at, whatever kernel computes the attention itself.

The probabilities are computed a second time from the module's input, in float32 and in chunks of
queries, so that fused kernels stay on and no [heads, tokens, tokens] of all blocks is ever held.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

OnAttention = Callable[[int, Tensor, int], None]
"""Called with the block, the probabilities [n, heads, queries, tokens] and the first query."""


def prefix_tokens(model: nn.Module) -> int:
    """Number of tokens before the patches': the class token and registers."""
    return int(model.num_prefix_tokens)  # type: ignore[arg-type]


def attention_modules(model: nn.Module) -> list[nn.Module]:
    """The self-attention modules in the order of the blocks; none for a convolutional network."""
    parts = ("qkv", "q_norm", "k_norm", "num_heads", "scale")
    return [m for m in model.modules() if all(hasattr(m, part) for part in parts)]


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
    def before(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        with torch.no_grad():
            queries, keys = queries_and_keys(module, arguments[0])
            for start in range(0, queries.shape[2], query_chunk):
                chunk = queries[:, :, start : start + query_chunk]
                on_attention(block, attention_probabilities(chunk, keys), start)

    return module.register_forward_pre_hook(before)


def queries_and_keys(module: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Scaled queries and keys [n, heads, tokens, features of a head] of one attention module.

    Args:
        module: timm's `Attention`.
        tokens: Its input [n, tokens, width].
    """
    count = 2 * module.num_heads * module.head_dim
    bias = None if module.qkv.bias is None else module.qkv.bias[:count]
    both = functional.linear(tokens, module.qkv.weight[:count], bias)
    shape = (*tokens.shape[:2], 2, module.num_heads, module.head_dim)
    queries, keys = both.reshape(shape).permute(2, 0, 3, 1, 4).unbind(0)
    return module.q_norm(queries) * module.scale, module.k_norm(keys)


def attention_probabilities(queries: Tensor, keys: Tensor) -> Tensor:
    """Softmax over all keys [n, heads, queries, tokens] of scaled queries, in float32."""
    return (queries @ keys.transpose(-2, -1)).float().softmax(dim=-1)
