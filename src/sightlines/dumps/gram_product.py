"""The Gram matrix of one layer's activations, formed over chunks of features."""

import itertools

import torch

COLUMNS = 16384
"""Features of one product; fewer make many small products, more would lose digits in float32."""
CENTRED_COLUMNS = 2048
"""Features centred at once: with n = 256 images, 2 MB that stay in the processor's cache."""
LARGE_MEANS = 0.5
"""Share of a chunk's mean square from which its features' means are removed before the product."""
ROUNDING = 1e-13
"""Share of the mean square below which the variance is float32 rounding: (3e-7)²."""


def centred_gram(activations: torch.Tensor, columns: int = COLUMNS) -> torch.Tensor:
    """X_c X_cᵀ of one layer and one minibatch; X_c is X less the mean image.

    Source: Raghu et al. 2021, appendix A (linear kernel, everything but the image axis flattened);
    the removed means change no unbiased HSIC, but keep float32 exact where units have large means.
    Products of chunks are float32 without TF32, their sum is float64, and only blocks on and above
    the diagonal are formed. Small means are removed from the sum, where that costs nothing; large
    ones, with which a product would lose digits, before the product.

    Args:
        activations: [images, …], any float type.
        columns: Features multiplied at once.

    Returns:
        [images, images] float64, symmetric. All zero where the images differ by less than float32
        resolves: the layer is constant. Not finite where an activation is not, or overflows.
    """
    with torch.autocast(activations.device.type, enabled=False):
        features = _flatten(activations)
        product = _ChunkProduct(len(features), features.device)
        for chunk in features.split(columns, dim=1):
            product.add(chunk.float())
    gram = _recentre(product.gram.triu() + product.gram.triu(1).T)
    if float(gram.trace()) <= ROUNDING * product.mean_square:
        return torch.zeros_like(gram)
    return gram


def pack(gram: torch.Tensor) -> torch.Tensor:
    """Upper triangle with its diagonal, row after row: [n, n] -> [n(n+1)/2], float32."""
    rows, columns = torch.triu_indices(len(gram), len(gram), device=gram.device)
    return gram[rows, columns].float()


class _ChunkProduct:
    """Adds up the products of chunks of one layer, blocks on and above the diagonal.

    Attributes:
        gram: [images, images] float64, whole on and above the diagonal.
        mean_square: Squared norm of the means, times the number of images.
    """

    def __init__(self, images: int, device: torch.device) -> None:
        self.gram = torch.zeros(images, images, dtype=torch.float64, device=device)
        self.mean_square = 0.0
        self._blocks = _row_blocks(images)
        self._parts = [torch.empty(e - b, images - b, device=device) for b, e in self._blocks]
        self._has_large_means = False

    def add(self, chunk: torch.Tensor) -> None:
        """Add the product of a chunk [images, columns] float32."""
        if not self._has_large_means:
            self._multiply(chunk)
            total, trace = self._sums()
            self._has_large_means = total > LARGE_MEANS * len(chunk) * trace
        if self._has_large_means:
            for piece in chunk.split(CENTRED_COLUMNS, dim=1):
                means = piece.mean(0)
                self._multiply(piece - means)
                self.mean_square += len(chunk) * float(means.double().square().sum())
                self._accumulate()
        else:
            self.mean_square += total / len(chunk)
            self._accumulate()

    def _accumulate(self) -> None:
        for (begin, end), part in zip(self._blocks, self._parts, strict=True):
            self.gram[begin:end, begin:] += part

    def _multiply(self, chunk: torch.Tensor) -> None:
        for (begin, end), part in zip(self._blocks, self._parts, strict=True):
            torch.mm(chunk[begin:end], chunk[begin:].T, out=part)

    def _sums(self) -> tuple[float, float]:
        """Sum of all entries, and of those on the diagonal, of the last product."""
        total = trace = 0.0
        for (begin, end), part in zip(self._blocks, self._parts, strict=True):
            square = part[:, : end - begin]
            total += 2 * float(part.sum()) - float(square.sum())
            trace += float(square.trace())
        return total, trace


def _recentre(gram: torch.Tensor) -> torch.Tensor:
    """Remove the means that are left: rows and columns sum to zero."""
    means = gram.mean(0)
    return gram - (means[:, None] + means[None, :]) + means.mean()


def _flatten(activations: torch.Tensor) -> torch.Tensor:
    """[images, features], in memory order where that avoids a copy: no Gram depends on it."""
    if activations.dim() == 4 and activations.is_contiguous(memory_format=torch.channels_last):
        activations = activations.permute(0, 2, 3, 1)
    return activations.detach().flatten(1)


def _row_blocks(images: int) -> list[tuple[int, int]]:
    """Row ranges of the products; two from 256 images on, four from 512 on, measured fastest."""
    count = 1 if images < 256 else 2 if images < 512 else 4
    edges = [images * i // count for i in range(count + 1)]
    return list(itertools.pairwise(edges))
