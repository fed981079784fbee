"""The Gram matrix of one layer's activations, formed over chunks of features."""

import functools

import torch

COLUMNS = 16384
"""Features of one product; more would lose digits in float32, their sum is float64."""
ONEDNN_COLUMNS = 2**17
"""The same where oneDNN multiplies: it adds up short sums, and a chunk of a layer costs a copy."""
CENTRED_COLUMNS = 4096
"""Features centred at once: with n = 256 images, 4 MB that stay in the processor's cache."""
LARGE_MEANS = 0.5
"""Share of the mean square from which the features' means are removed before the product."""
SAMPLED_IMAGES = 4
"""Images of which the share of the means is estimated beforehand."""
WORTH_SAMPLING = 2**21
"""Activations from which a product in vain costs more than that estimate on all layers."""
ROUNDING = 1e-13
"""Share of the mean square below which the variance is float32 rounding: (3e-7)²."""


def packed_gram(activations: torch.Tensor, columns: int | None = None) -> torch.Tensor:
    """X_c X_cᵀ of one layer and one minibatch; X_c is X less the mean image.

    Source: Raghu et al. 2021, appendix A (linear kernel, everything but the image axis flattened);
    the removed means change no unbiased HSIC, but keep float32 exact where units have large means.
    Products of chunks are float32 without TF32, their sum is float64, and only blocks on and below
    the diagonal are formed. Small means are removed from the sum, where that costs nothing; large
    ones, with which a product would lose digits, before the product.

    Args:
        activations: [images, …], any float type.
        columns: Features multiplied at once, at most; by default what the product here allows.

    Returns:
        [n(n+1)/2] float32, upper triangle with its diagonal, row after row. All zero where the
        images differ by less than float32 resolves: the layer is constant. Not finite where an
        activation is not, or overflows.
    """
    with torch.autocast(activations.device.type, enabled=False):
        features = flatten(activations)
        if columns is None:
            columns = ONEDNN_COLUMNS if _uses_onednn(features.device) else COLUMNS
        if not _seem_large(features):
            gram = _products(features, columns)
            packed, mean_square, trace = _centred_upper(gram)
            if not mean_square > LARGE_MEANS * (mean_square + trace):
                return packed.float()
        gram, mean_square = _centred_products(features, min(columns, CENTRED_COLUMNS))
        packed, _, trace = _centred_upper(gram)
    if trace <= ROUNDING * mean_square:
        return torch.zeros_like(packed, dtype=torch.float32)
    return packed.float()


def flatten(activations: torch.Tensor) -> torch.Tensor:
    """[images, features], in memory order where that avoids a copy: no Gram depends on it."""
    if activations.dim() == 4 and activations.is_contiguous(memory_format=torch.channels_last):
        activations = activations.permute(0, 2, 3, 1)
    return activations.detach().flatten(1)


def multiply(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Product left · rightᵀ, float32, of contiguous matrices […, features].

    On a processor oneDNN's product, which uses the registers of every maker's processors: the one
    in `torch.mm`, Intel's MKL, leaves half of an AMD's unused. Both follow torch's threads. The
    operator takes rows that are apart in memory too, but with a loop that is 300 times slower.
    """
    if _uses_onednn(left.device):
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            left, right, None, "none", [], ""
        )
        return product
    return torch.mm(left, right.T)


@functools.cache
def _uses_onednn(device: torch.device) -> bool:
    """Whether torch has oneDNN here, with the operator to which it compiles a linear layer."""
    has_it = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return device.type == "cpu" and has_it


def _seem_large(features: torch.Tensor) -> bool:
    """Whether some images suggest large means; wrong, it costs time and no digits."""
    step = len(features) // SAMPLED_IMAGES
    if step < 2 or features.numel() < WORTH_SAMPLING:
        return False
    some = features[::step].float()
    gram = torch.mm(some, some.T)
    # Of k images the square of the mean holds the variance once more, divided by k.
    from_means, images = gram.sum() - gram.trace(), len(gram)
    return bool(from_means > LARGE_MEANS * (images - 1) * gram.trace())


def _products(features: torch.Tensor, columns: int) -> torch.Tensor:
    """Sum of the products of equal chunks [images, images] float64, as `_add` leaves it."""
    gram = torch.zeros(len(features), len(features), dtype=torch.float64, device=features.device)
    for chunk in features.chunk(max(1, -(-features.shape[1] // columns)), dim=1):
        _add(gram, chunk.float().contiguous())
    return gram


def _centred_products(features: torch.Tensor, columns: int) -> tuple[torch.Tensor, float]:
    """The same of features less their means, and the squared norm of the means times images."""
    images = len(features)
    gram = torch.zeros(images, images, dtype=torch.float64, device=features.device)
    squares = gram.new_zeros(())
    share = torch.full((1, images), 1 / images, device=features.device)
    room = torch.empty(images * min(columns, features.shape[1]), device=features.device)
    for chunk in features.split(columns, dim=1):
        values = chunk.float()
        means = share @ values
        squares += means.double().square().sum()
        centred = room[: values.numel()].view(values.shape)
        _add(gram, torch.sub(values, means, out=centred))
    return gram, images * float(squares)


def _add(gram: torch.Tensor, chunk: torch.Tensor) -> None:
    """Add the product of a chunk [images, features] to the strips on and below the diagonal."""
    for begin, end in _strips(len(chunk)):
        gram[begin:, begin:end] += multiply(chunk[begin:], chunk[begin:end])


def _centred_upper(gram: torch.Tensor) -> tuple[torch.Tensor, float, float]:
    """Packed upper triangle, float64, less the means that are left: all rows sum to zero.

    Args:
        gram: What `_add` left; its upper triangle is filled.

    Returns:
        The triangle, the squared norm of the means times the number of images, and the trace.
    """
    images = len(gram)
    for begin, end in _strips(images):
        gram[begin:end, end:] = gram[end:, begin:end].T
    means = gram.mean(1)
    mean = means.mean()
    trace = gram.trace()
    means -= mean / 2
    gram -= means[:, None] + means
    packed = gram.flatten().index_select(0, _upper(images, gram.device))
    mean_square = float(mean) * images
    return packed, mean_square, float(trace) - mean_square


@functools.lru_cache(maxsize=4)
def _upper(images: int, device: torch.device) -> torch.Tensor:
    """Where the flat matrix holds the packed entries."""
    with torch.inference_mode(False):
        rows, columns = torch.triu_indices(images, images, device=device)
        return rows * images + columns  # type: ignore[no-any-return]


def _strips(images: int) -> list[tuple[int, int]]:
    """Columns of the products: narrow ones waste less beside the diagonal, wide ones run faster."""
    width = 48 if images < 256 else 64
    return [(begin, min(begin + width, images)) for begin in range(0, images, width)]
