"""Takes rows of a Jacobian matrix through the blocks of a plain ViT, many at once.

Rows are gradients of single channels, [tokens, features, rows] for one image: rows lie innermost,
so that all work is products of matrices. With P = softmax(Q Kᵀ) and O = P V, a gradient g of O is
Pᵀ g for V; for keys and queries it goes through dSᵢⱼ = Pᵢⱼ (Vⱼ - Oᵢ)·gᵢ: sum over i of dSᵢⱼ Qᵢ, and
sum over j of dSᵢⱼ Kⱼ, which is a small matrix of each query and head times gᵢ.

Layer norms are folded into the dense layers behind them. With normalised features x̂ and standard
deviation 1/r, a gradient u of the dense layer's input becomes r (u - x̂ (x̂·u) / features), where
the dense layer's weights are scaled by the norm's and have mean zero over the features.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

NUMBERS_AT_ONCE = 2**18
"""Of a table that is made for some tokens at a time: what a processor's cache holds."""
ROWS_AT_ONCE = 2**22
"""Numbers of the rows that go through attention together."""
COMPOSED = 0.75
"""So many rows for each feature, and an MLP is made one matrix for each token: then this is less
work than two products for each row."""


@dataclass(frozen=True)
class Dense:
    """A dense layer, the norm before it folded in: x̂ ↦ x̂ weight + bias; [in, out] and [out]."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, norm: Any, linear: Any) -> "Dense":
        """Fold a LayerNorm into the layer behind it."""
        transposed = linear.weight.detach().t()
        weight = norm.weight.detach()[:, None] * transposed
        bias = norm.bias.detach() @ transposed
        if linear.bias is not None:
            bias = bias + linear.bias.detach()
        return cls(weight - weight.mean(0), bias)


@dataclass(frozen=True)
class BlockWeights:
    """One block's weights, [in, out].

    Attributes:
        qkv: Queries, keys, values, behind the first norm.
        attended: Projection of the attention's output.
        scales: Of both branches (LayerScale), [features] each.
        hidden: First layer of the MLP, behind the second norm.
        mixed: Second layer of the MLP.
        heads: Attention heads.
        scale: Of queries.
        eps: Of both norms.
        activation: Between the layers of the MLP.
    """

    qkv: Dense
    attended: Dense
    scales: tuple[Tensor, Tensor]
    hidden: Dense
    mixed: Tensor
    heads: int
    scale: float
    eps: tuple[float, float]
    activation: nn.Module

    @classmethod
    def of(cls, block: Any) -> "BlockWeights":
        """Fold the weights of timm's block of a ViT."""
        attn, mlp = block.attn, block.mlp
        bias = attn.proj.bias
        projection = attn.proj.weight.detach().t().contiguous()
        ones = torch.ones_like(projection[0])
        return cls(
            qkv=Dense.of(block.norm1, attn.qkv),
            attended=Dense(projection, ones * 0 if bias is None else bias.detach()),
            scales=(_layer_scale(block.ls1, ones), _layer_scale(block.ls2, ones)),
            hidden=Dense.of(block.norm2, mlp.fc1),
            mixed=mlp.fc2.weight.detach().t().contiguous(),
            heads=attn.num_heads,
            scale=attn.scale,
            eps=(block.norm1.eps, block.norm2.eps),
            activation=mlp.act,
        )


def _layer_scale(module: Any, ones: Tensor) -> Tensor:
    return module.gamma.detach() if hasattr(module, "gamma") else ones


class BlockRows:
    """What one image is inside one block, and how rows go through it from above.

    Args:
        weights: The block's.
        tokens: What enters it, [tokens, features].
        centre: Index of the token whose channels are differentiated.
    """

    def __init__(self, weights: BlockWeights, tokens: Tensor, centre: int) -> None:
        self._w, self._tokens, self._centre = weights, tokens, centre
        self._norm1, self._r1 = _normalised(tokens, weights.eps[0])
        self._normed_qkv = self._norm1 @ weights.qkv.weight
        qkv = (self._normed_qkv + weights.qkv.bias).unflatten(1, (3, weights.heads, -1))
        queries, self._keys, self._values = qkv.permute(1, 2, 0, 3)
        self._queries = queries * weights.scale

    # -- rows of all tokens, from the block's output to its input

    def through(self, rows: Tensor) -> Tensor:
        """From gradients of the block's output, [tokens, features, rows], to those of its input."""
        below = self._through_mlp(rows)
        tokens, features, count = rows.shape
        step = max(ROWS_AT_ONCE // (tokens * features), 1)
        for start in range(0, count, step):
            part = below[:, :, start : start + step]
            part.copy_(self._through_attention(part))
        return below

    def _through_mlp(self, rows: Tensor) -> Tensor:
        norm, slopes, normed = self._mlp
        out = torch.empty_like(rows)
        w, features = self._w, rows.shape[1]
        mixed = w.mixed * w.scales[1]
        is_composed = rows.shape[2] > COMPOSED * features
        step = _step(len(mixed) * (features if is_composed else rows.shape[2]))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            given, x, slope = rows[part], norm[part], slopes[part]
            if is_composed:
                down = w.hidden.weight * slope[:, None, :]
                down -= x[:, :, None] * ((normed[part] * slope) / features)[:, None, :]
                torch.baddbmm(given, _matmul(down, mixed), given, out=out[part])
                continue
            inner = _each(mixed, given)
            inner *= slope[:, :, None]
            along = torch.bmm(normed[part][:, None, :], inner)
            torch.baddbmm(given, w.hidden.weight.expand(len(x), -1, -1), inner, out=out[part])
            out[part].baddbmm_(x[:, :, None], along, alpha=-1 / features)
        return out

    def _through_attention(self, rows: Tensor) -> Tensor:
        w, (tokens, features, count) = self._w, rows.shape
        given = _each(w.attended.weight * w.scales[0], rows)
        given = given.unflatten(1, (w.heads, -1))
        found = torch.empty(tokens, 3, *given.shape[1:], dtype=rows.dtype, device=rows.device)
        probabilities = self._probabilities * self._r1[:, 0]
        step = _step(tokens * count)
        for head, p in enumerate(probabilities):
            one = given[:, head]
            found[:, 0, head] = torch.bmm(self._of_queries[head], one)
            values = found[:, 2, head].flatten(1)
            torch.mm(p.t(), one.reshape(tokens, -1), out=values)
            keys = torch.zeros(one.shape[1], tokens * count, dtype=rows.dtype, device=rows.device)
            for start in range(0, tokens, step):
                part = slice(start, start + step)
                apart = self._values[head] - self._attended[head, part, None]
                scores = torch.bmm(apart.mul_(p[part, :, None]), one[part])
                keys.addmm_(self._queries[head, part].t(), scores.flatten(1))
            found[:, 1, head] = keys.unflatten(1, (tokens, count)).transpose(0, 1)
        found = found.flatten(1, 3)
        along = torch.bmm(self._normed_qkv[:, None, :], found)
        out = torch.baddbmm(rows, w.qkv.weight.expand(tokens, -1, -1), found)
        return out.baddbmm_(self._norm1[:, :, None], along, alpha=-1 / features)

    # -- rows of the centre alone, [features, rows], to the block's input, [tokens, features, rows]

    def from_output(self, rows: Tensor) -> Tensor:
        """From gradients of the block's output at the centre."""
        return self.from_sum(rows + self.through_centre_mlp(rows * self._w.scales[1][:, None]))

    def from_sum(self, rows: Tensor) -> Tensor:
        """From gradients of the sum after attention at the centre."""
        found = self.from_attention(rows * self._w.scales[0][:, None])
        found[self._centre] += rows
        return found

    def through_centre_mlp(self, rows: Tensor) -> Tensor:
        """From gradients of the MLP's output at the centre to those of what enters its norm."""
        w = self._w
        normed, r = _normalised(self._centre_sum, w.eps[1])
        slope = _slope(w.activation, normed @ w.hidden.weight + w.hidden.bias)
        found = w.hidden.weight @ (w.mixed @ rows * slope[0, :, None])
        return r * (found - normed.t() @ (normed @ found) / len(rows))

    def from_attention(self, rows: Tensor) -> Tensor:
        """From gradients of the attention's projected output at the centre."""
        w, c, width = self._w, self._centre, len(rows)
        given = (w.attended.weight @ rows).unflatten(0, (w.heads, -1))
        p = self._centre_probabilities
        scores = p[:, :, None] * torch.bmm(self._values - self._centre_attended[:, None], given)
        to_queries, to_keys, to_values = (
            part.unflatten(1, (w.heads, -1))
            for part in w.qkv.weight.split(w.attended.weight.shape[0], 1)
        )
        through_values = torch.einsum("dhe,her->hdr", to_values, given)
        through_keys = torch.einsum("dhe,he->hd", to_keys, self._queries[:, c])
        found = (p.t() @ through_values.flatten(1)).unflatten(1, (width, -1))
        found += torch.bmm(through_keys.t().expand(len(found), -1, -1), scores.transpose(0, 1))
        queries = w.scale * torch.bmm(self._keys.transpose(1, 2), scores)
        found[c] += torch.einsum("dhe,her->dr", to_queries, queries)
        along = torch.bmm(self._norm1[:, None, :], found)
        found.baddbmm_(self._norm1[:, :, None], along, alpha=-1 / width)
        return found.mul_(self._r1[:, :, None])  # type: ignore[no-any-return]

    # -- what the image is inside the block

    @cached_property
    def _probabilities(self) -> Tensor:
        """[heads, queries, tokens]."""
        return (self._queries @ self._keys.transpose(1, 2)).softmax(-1)  # type: ignore[no-any-return]

    @cached_property
    def _attended(self) -> Tensor:
        """The attention's output before its projection, [heads, tokens, features of a head]."""
        return self._probabilities @ self._values  # type: ignore[no-any-return]

    @cached_property
    def _of_queries(self) -> Tensor:
        """What takes a gradient of one head's output to its query, times r, [heads, tokens, …]."""
        size = self._keys.shape[2]
        pairs = (self._keys[..., None] * self._values[:, :, None]).flatten(2)
        matrix = (self._probabilities @ pairs).unflatten(2, (size, size))
        matrix -= (self._probabilities @ self._keys)[..., None] * self._attended[:, :, None]
        return matrix.mul_(self._w.scale * self._r1[:, :, None])  # type: ignore[no-any-return]

    @cached_property
    def _mlp(self) -> tuple[Tensor, Tensor, Tensor]:
        """Normed tokens; the activation's slope times r; the hidden layer without its bias."""
        w = self._w
        attended = self._attended.transpose(0, 1).flatten(1)
        norm, r = _normalised(self._tokens + self._added(attended), w.eps[1])
        normed = norm @ w.hidden.weight
        return norm, _slope(w.activation, normed + w.hidden.bias).mul_(r), normed

    @cached_property
    def _centre_probabilities(self) -> Tensor:
        """[heads, tokens]."""
        scores = torch.bmm(self._keys, self._queries[:, self._centre, :, None])
        return scores[:, :, 0].softmax(-1)

    @cached_property
    def _centre_attended(self) -> Tensor:
        """[heads, features of a head]."""
        return torch.bmm(self._centre_probabilities[:, None], self._values)[:, 0]

    @cached_property
    def _centre_sum(self) -> Tensor:
        """[1, features]."""
        added = self._added(self._centre_attended.flatten()[None])
        return self._tokens[self._centre][None] + added

    def _added(self, attended: Tensor) -> Tensor:
        """What attention adds to tokens, [tokens, features]."""
        w = self._w
        return (attended @ w.attended.weight + w.attended.bias) * w.scales[0]


def _normalised(tokens: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Features of mean 0 and variance 1, and what they were multiplied by, [tokens, 1]."""
    variance = tokens.var(-1, correction=0, keepdim=True)
    r = (variance + eps).rsqrt()
    return (tokens - tokens.mean(-1, keepdim=True)) * r, r


def _slope(activation: nn.Module, values: Tensor) -> Tensor:
    """Derivative of a function of each value by itself."""
    with torch.enable_grad():
        values = values.detach().requires_grad_()
        return torch.autograd.grad(activation(values).sum(), values)[0]


def _each(matrix: Tensor, rows: Tensor) -> Tensor:
    """The same matrix times the rows of every token."""
    return torch.bmm(matrix.expand(len(rows), -1, -1), rows)


def _matmul(tokens: Tensor, matrix: Tensor) -> Tensor:
    """A matrix of each token times the same matrix."""
    return (tokens.flatten(0, 1) @ matrix).unflatten(0, tokens.shape[:2])  # type: ignore[no-any-return]


def _step(numbers: int) -> int:
    """Tokens at once, of which each has so many numbers."""
    return max(NUMBERS_AT_ONCE // numbers, 1)
