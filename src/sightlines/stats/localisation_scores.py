"""Scores of how much each token is about its own patch, from maps of CKA over patches.

Source: Raghu et al. 2021, section 5, Figures 9 and 10; what their words leave open is defined by
each function here. A map is undefined (NaN) where a token or a patch does not vary over the
images: such patches are left out of a token's mean, standard deviation and rank, such tokens out
of means over tokens.
"""

import numpy as np
from jaxtyping import Bool, Float

from sightlines.stats.means import mean_of_finite, quotient

RESIDUAL = 1e-10
"""Share of an HSIC below which what is left after regression is rounding."""


def border(grid: tuple[int, int]) -> Bool[np.ndarray, " positions"]:
    """Which positions of a grid lie on its border."""
    row, column = np.indices(grid)
    edge = (row == 0) | (row == grid[0] - 1) | (column == 0) | (column == grid[1] - 1)
    return edge.ravel()  # type: ignore[no-any-return]


def interior(grid: tuple[int, int]) -> Bool[np.ndarray, " positions"]:
    """Which tokens count as interior: those off the border, or all where there are none."""
    inside = ~border(grid)
    return inside if inside.any() else np.ones_like(inside)


def corners(grid: tuple[int, int]) -> list[int]:
    """The tokens in the grid's corners, each once."""
    rows, columns = grid
    last = (rows - 1) * columns
    return sorted({0, columns - 1, last, last + columns - 1})


def z_scores(maps: Float[np.ndarray, "... tokens patches"]) -> Float[np.ndarray, "... tokens"]:
    """(M[t, t] - mean over u of M[t, u]) / standard deviation over u of M[t, u]."""
    mean = mean_of_finite(maps)
    spread = np.sqrt(mean_of_finite(np.square(maps - mean[..., None])))
    own = np.einsum("...tt->...t", maps)
    return (own - mean) / np.where(spread > 0, spread, np.nan)  # type: ignore[no-any-return]


def effect_size(
    maps: Float[np.ndarray, "... tokens patches"], chosen: Bool[np.ndarray, " tokens"]
) -> Float[np.ndarray, "..."]:
    """How far the own patch stands above the others: d, in standard deviations of these.

    Mean over the chosen tokens of M[t, t] - mean over u ≠ t of M[t, u], over the root of the mean
    over them of the variance over u ≠ t (n - 1 below): a standardised difference (Glass 1976) with
    the spread pooled over tokens. A z-score counts the own patch in mean and deviation, so that
    among n patches it is at most √(n-1), whatever the map: 7.9 on 8 x 8, 14 on 14 x 14. d is z √(n
    (n-2) / ((n-1)(n-1-z²))) of a single token, has no bound, and of maps of one kind the same
    expectation on any grid.
    """
    rows = maps[..., chosen, :]
    at, tokens = np.flatnonzero(chosen), np.arange(int(chosen.sum()))
    others = rows.copy()
    others[..., tokens, at] = np.nan
    count = np.isfinite(others).sum(axis=-1)
    mean = mean_of_finite(others)
    variance = mean_of_finite(np.square(others - mean[..., None]))
    variance = np.where(count > 1, variance * count / np.maximum(count - 1, 1), np.nan)
    ahead = np.where(np.isfinite(variance), rows[..., tokens, at] - mean, np.nan)
    variance = np.where(np.isfinite(ahead), variance, np.nan)
    return np.asarray(quotient(mean_of_finite(ahead), np.sqrt(mean_of_finite(variance))))


def ranks(maps: Float[np.ndarray, "... tokens patches"]) -> Float[np.ndarray, "... tokens"]:
    """1 + number of patches that a token is more similar to than to its own."""
    own = np.einsum("...tt->...t", maps)
    return np.where(np.isfinite(own), 1 + (maps > own[..., None]).sum(-1), np.nan)


def margins(maps: Float[np.ndarray, "... tokens patches"]) -> Float[np.ndarray, "... tokens"]:
    """CKA with the own patch less the largest with another: at least 0 where the rank is 1."""
    own = np.einsum("...tt->...t", maps)
    others = np.where(np.isfinite(maps), maps, -np.inf)
    others[..., np.eye(maps.shape[-1], dtype=bool)] = -np.inf
    best = others.max(axis=-1)
    return np.where(np.isfinite(own) & np.isfinite(best), own - best, np.nan)


def token_correlation(
    maps: Float[np.ndarray, "... tokens patches"], chosen: Bool[np.ndarray, " tokens"]
) -> Float[np.ndarray, "..."]:
    """Mean Pearson correlation between the maps of two different tokens, both chosen."""
    rows = maps[..., chosen, :]
    rows = np.nan_to_num(rows - mean_of_finite(rows)[..., None])
    norms = np.sqrt(np.square(rows).sum(-1, keepdims=True))
    rows = rows / np.where(norms > 0, norms, np.nan)
    correlation = rows @ np.swapaxes(rows, -1, -2)
    correlation[..., np.eye(int(chosen.sum()), dtype=bool)] = np.nan
    return mean_of_finite(correlation.reshape(*correlation.shape[:-2], -1))


def corner_means(
    maps: Float[np.ndarray, "... tokens patches"],
    grid: tuple[int, int],
    patches: Bool[np.ndarray, " patches"],
) -> Float[np.ndarray, "..."]:
    """Mean CKA of the corner tokens on chosen patches, a token's own patch left out.

    With the own patch, which lies on the border, any localised token would prefer the border.
    """
    at = corners(grid)
    rows = maps[..., at, :].copy()
    rows[..., np.arange(len(at)), at] = np.nan
    return mean_of_finite(mean_of_finite(rows[..., patches]))


def without_image(
    cross: Float[np.ndarray, "layers tokens patches"],
    own: Float[np.ndarray, "layers tokens"],
    patches: Float[np.ndarray, "patches patches"],
) -> tuple[
    Float[np.ndarray, "layers tokens patches"],
    Float[np.ndarray, "layers tokens"],
    Float[np.ndarray, " patches"],
]:
    """HSICs after the Gram of the whole image was regressed out of every Gram.

    Source: Cui et al. 2022 (dCKA), regression on the Gram of the input. The patches tile the image
    and Grams of concatenated features add, so the image's HSICs are sums of the patches'.

    Args:
        cross: Sums of n(n-3) HSIC₁(token, patch).
        own: Sums of n(n-3) HSIC₁(token, token).
        patches: Sums of n(n-3) HSIC₁(patch, patch).

    Returns:
        The same of the residuals; of the patches only with themselves.
    """
    whole = patches.sum()
    whole = whole if whole > 0 else np.nan
    token_image, patch_image = cross.sum(-1), patches.sum(-1)
    self_ = np.diagonal(patches)
    return (
        cross - token_image[..., None] * patch_image / whole,
        _left(own, np.square(token_image) / whole),
        _left(self_, np.square(patch_image) / whole),
    )


def _left(own: np.ndarray, explained: np.ndarray) -> np.ndarray:
    left = own - explained
    return np.where(left > RESIDUAL * own, left, 0)
