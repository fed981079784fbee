"""How far attention reaches, how much goes to prefix tokens, and how spread it is."""

import torch


class AttentionStatistics:
    """Statistics of one block's attention for one minibatch, fed a chunk of queries at a time.

    Prefix tokens (CLS, registers) come first among the tokens. They are dropped as queries
    everywhere, and as keys from all but `prefix_mass` and `entropy_nats`.

    Attributes:
        distance_px: [images, heads], Σ_j A_ij d_ij averaged over query patches i; the attention
            that goes to prefix tokens counts nothing (Raghu et al. 2021, Figure 3).
        renormalised_share: [images, heads], share of query patches that attend to any patch; less
            than 1 where softmax leaves some query exactly 0 for all patches.
        prefix_mass: [images, heads], attention to prefix tokens averaged over query patches.
        entropy_nats: [images, heads], -Σ A log A over all keys, prefix tokens too, averaged
            over query patches.
        offset_mass: [heads, 2h-1, 2w-1], attention to keys at each offset (rows, columns) from
            the query's patch, averaged over query patches and images, not renormalised; zero
            offset in the middle.
    """

    def __init__(
        self, images: int, heads: int, grid: tuple[int, int], patch_px: int, prefix: int
    ) -> None:
        """Start at zero; `grid` is rows and columns of patches, `prefix` the prefix tokens."""
        self._grid, self._prefix, self._patches = grid, prefix, grid[0] * grid[1]
        self._distances = patch_distances(grid, patch_px)
        self._offsets = offset_cells(grid)
        self.distance_px = torch.zeros(images, heads, dtype=torch.float64)
        self.renormalised_share = torch.zeros_like(self.distance_px)
        self._renormalised_px = torch.zeros_like(self.distance_px)
        self.prefix_mass = torch.zeros_like(self.distance_px)
        self.entropy_nats = torch.zeros_like(self.distance_px)
        cells = (2 * grid[0] - 1, 2 * grid[1] - 1)
        self.offset_mass = torch.zeros(heads, *cells, dtype=torch.float64)

    @property
    def distance_renormalised_px(self) -> torch.Tensor:
        """[images, heads], `distance_px` with A_ij divided by query i's attention to patches.

        Averaged over the queries of `renormalised_share`; 0 where there is none.
        """
        share = self.renormalised_share
        return torch.where(share > 0, self._renormalised_px / share, 0)

    @property
    def is_finite(self) -> bool:
        """Whether all attention so far was."""
        return bool(torch.isfinite(self.distance_px + self.prefix_mass + self.entropy_nats).all())

    def add(self, attention: torch.Tensor, first_query: int) -> None:
        """Take in some queries.

        Args:
            attention: Probabilities [images, heads, queries, tokens], rows summing to 1.
            first_query: Token index of the first query.
        """
        skip = max(self._prefix - first_query, 0)
        attention = attention[:, :, skip:]
        count = attention.shape[2]
        if not count:
            return
        begin = first_query + skip - self._prefix
        rows = slice(begin, begin + count)
        to_patches = attention[..., self._prefix :]
        mass = to_patches.sum(-1)
        distances = self._distances[rows].to(attention)
        reach = (to_patches * distances).sum(-1)
        renormalised = torch.where(mass > 0, reach / mass, 0)
        self.distance_px += self._mean(reach)
        self._renormalised_px += self._mean(renormalised)
        self.renormalised_share += self._mean(mass > 0)
        self.prefix_mass += self._mean(attention[..., : self._prefix].sum(-1))
        self.entropy_nats += self._mean(entropy(attention))
        self._add_offsets(to_patches, rows)

    def _mean(self, values: torch.Tensor) -> torch.Tensor:
        return values.double().sum(-1).cpu() / self._patches

    def _add_offsets(self, to_patches: torch.Tensor, rows: slice) -> None:
        mass = to_patches.sum(0).double().cpu().flatten(1) / (len(to_patches) * self._patches)
        self.offset_mass.flatten(1).index_add_(1, self._offsets[rows].flatten(), mass)


def entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """-Σ p log p over the last axis, in nats; twice as quick as `torch.special.entr`."""
    tiny = torch.finfo(probabilities.dtype).tiny
    return -probabilities.clamp_min(tiny).log_().mul_(probabilities).sum(-1)


def patch_positions(grid: tuple[int, int]) -> torch.Tensor:
    """Row and column of every patch, [patches, 2] float64."""
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    return torch.stack([rows.flatten(), columns.flatten()], dim=1).double()


def patch_distances(grid: tuple[int, int], patch_px: int) -> torch.Tensor:
    """Euclidean distance between patch centres in px, [patches, patches] float64."""
    positions = patch_positions(grid)
    steps = positions[:, None] - positions[None, :]
    return patch_px * steps.square().sum(-1).sqrt()


def offset_cells(grid: tuple[int, int]) -> torch.Tensor:
    """Flat cell of the [2h-1, 2w-1] map of offsets for every query and key patch, int64."""
    positions = patch_positions(grid).long()
    steps = positions[None, :] - positions[:, None]
    return (steps[..., 0] + grid[0] - 1) * (2 * grid[1] - 1) + steps[..., 1] + grid[1] - 1


def uniform_px(grid: tuple[int, int], patch_px: int) -> float:
    """Mean distance of attention that is uniform over the patches."""
    return float(patch_distances(grid, patch_px).mean())
