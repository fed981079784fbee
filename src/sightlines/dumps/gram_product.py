"""The Gram matrix of one layer's activations, formed over chunks of features."""

import functools
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


def packed_gram(activations: torch.Tensor, columns: int = COLUMNS) -> torch.Tensor:
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
        [n(n+1)/2] float32, upper triangle with its diagonal, row after row. All zero where the
        images differ by less than float32 resolves: the layer is constant. Not finite where an
        activation is not, or overflows.
    """
    with torch.autocast(activations.device.type, enabled=False):
        features = flatten(activations)
        product = _ChunkProduct(len(features), features.device)
        for chunk in features.split(columns, dim=1):
            product.add(chunk.float())
    packed = product.centred_upper()
    trace = float(packed[_diagonal(len(features), features.device)].sum())
    if trace <= ROUNDING * product.mean_square:
        return torch.zeros_like(packed, dtype=torch.float32)
    return packed.float()


@functools.lru_cache(maxsize=4)
def _upper(images: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of the packed entries."""
    with torch.inference_mode(False):
        rows, columns = torch.triu_indices(images, images, device=device)
    return rows, columns


def _diagonal(images: int, device: torch.device) -> torch.Tensor:
    """Where the packed triangle holds the diagonal."""
    steps = torch.arange(images, 0, -1, device=device)
    return steps.cumsum(0) - steps


class _ChunkProduct:
    """Adds up the products of chunks of one layer, blocks on and above the diagonal.

    Attributes:
        gram: [images, images] float64; zero in the blocks below those on the diagonal.
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

    def centred_upper(self) -> torch.Tensor:
        """Packed upper triangle, float64, less the means that are left: all rows sum to zero."""
        sums = self.gram.sum(1)
        for begin, end in self._blocks:
            sums[end:] += self.gram[begin:end, end:].sum(0)
        means = sums / len(sums)
        means = means - means.mean() / 2
        rows, columns = _upper(len(sums), sums.device)
        upper = self.gram.flatten().take(rows * len(sums) + columns)
        return upper.sub_(means.take(rows)).sub_(means.take(columns))

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


def flatten(activations: torch.Tensor) -> torch.Tensor:
    """[images, features], in memory order where that avoids a copy: no Gram depends on it."""
    if activations.dim() == 4 and activations.is_contiguous(memory_format=torch.channels_last):
        activations = activations.permute(0, 2, 3, 1)
    return activations.detach().flatten(1)


def _row_blocks(images: int) -> list[tuple[int, int]]:
    """Row ranges of the products; two from 256 images on, four from 512 on, measured fastest."""
    count = 1 if images < 256 else 2 if images < 512 else 4
    edges = [images * i // count for i in range(count + 1)]
    return list(itertools.pairwise(edges))
