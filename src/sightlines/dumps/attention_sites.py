"""Attention statistics of networks whose attention is not that of a plain ViT, wherever it happens.

Windows, pyramids, hybrids, queries or keys of another grid than the patches': every softmax
attention between places of the image, with true distances (`models/placed_attention.py`). One file
a network;
per minibatch tensors `distance_px.<minibatch>`, `distance_renormalised_px.…`,
`renormalised_share.…`, `outside_mass.…`, `entropy_nats.…` [images, rows], float32, a row for each
head of each site in order. The description names sites, and softmaxes that are no attention between
places.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorShapes
from sightlines.dumps.attention_statistics import entropy
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.passes import Rows, Watched
from sightlines.models.found_layers import attention_of
from sightlines.models.placed_attention import PlacedSite, capture_sites, check_sites

KIND = "attention_sites"
READER = "sightlines.dumps.attention_sites_reading:AttentionSitesDump"
NETWORKS = "plain"
FAMILIES = "ATTENTION_SITES"
SPLITS = "reference"
PASS = "reference"
STATISTICS = (
    *("distance_px", "distance_renormalised_px", "renormalised_share"),
    *("outside_mass", "entropy_nats"),
)


def record(shown: Shown) -> Watched:
    """How far every head of every attention looks in every reference minibatch."""
    sites, others = attention_of(shown.model, shown.card["size_px"])
    if not sites:
        raise ResultError(f"{shown.network.slug} has no attention between places of the image")
    meta = shown.describe() | {"sites": [describe_site(site) for site in sites], "others": others}
    rows_of_all = sum(site.heads for site in sites)
    shapes: TensorShapes = {
        f"{name}.{index:03d}": ("F32", (images, rows_of_all))
        for index, images in enumerate(meta["batch_sizes"])
        for name in STATISTICS
    }

    def check() -> None:
        for images in shown.pixels("test", [shown.reference_minibatches()[0][:2]]):
            check_sites(shown.model, sites, images)

    @contextlib.contextmanager
    def watch(minibatch: Minibatch, images: torch.Tensor) -> Iterator[Rows]:
        rows: Rows = {}
        with watch_sites(shown.model, sites, len(images)) as found:
            yield rows
        for name in STATISTICS:
            whole = np.concatenate([getattr(each, name).numpy() for each in found], axis=1)
            if not np.isfinite(whole).all():
                raise ResultError(
                    f"attention of {shown.network.slug} is not finite: its training has diverged; "
                    "lower train.learning_rate"
                )
            rows[f"{name}.{minibatch.name}"] = whole

    return Watched(
        shapes=shapes, meta=meta, minibatches=shown.reference(), begin=check, watch=watch
    )


def describe_site(site: PlacedSite) -> dict[str, Any]:
    """One row of the dump's table of sites."""
    return {
        "module": site.name,
        "function": site.site.function,
        "heads": site.heads,
        "windows": len(site.queries),
        "queries": int((~site.queries[..., 0].isnan()).sum()),
        "keys": int((~site.keys[..., 0].isnan()).sum()),
        "applied": list(site.site.applied),
        "uniform_px": uniform_px(site),
    }


def uniform_px(site: PlacedSite) -> float:
    """Mean distance of attention that is uniform over all key places of the image, in px."""
    queries = site.queries.flatten(0, 1)
    queries = queries[~queries[:, 0].isnan()]
    keys = site.keys.flatten(0, 1)
    keys = torch.unique((keys[~keys[:, 0].isnan()] * 64).round(), dim=0) / 64
    total = sum(float(torch.cdist(part, keys).sum()) for part in queries.split(1024))
    return total / (len(queries) * len(keys))


@contextlib.contextmanager
def watch_sites(
    model: torch.nn.Module, sites: Sequence[PlacedSite], images: int
) -> Iterator[list["SiteStatistics"]]:
    """Statistics of every site for one minibatch, formed while the network runs in the block."""
    found = [SiteStatistics(site, images) for site in sites]

    def take(index: int, image: int, part: slice, rows: torch.Tensor) -> None:
        found[index].add(image, part, rows)

    with capture_sites(model, sites, images, take):
        yield found


class SiteStatistics:
    """Statistics of one attention for one minibatch, fed a few slices at a time.

    Queries without a place are left out; keys without one count for nothing but `outside_mass` and
    `entropy_nats`.

    Attributes:
        distance_px: [images, heads], Σ_j A_ij d_ij averaged over queries i with a place.
        renormalised_share: [images, heads], share of these queries that attend to any place.
        outside_mass: [images, heads], attention to keys without a place.
        entropy_nats: [images, heads], -Σ A log A over all keys.
    """

    def __init__(self, site: PlacedSite, images: int) -> None:
        self._site = site
        self._placed = ~site.queries[..., 0].isnan()
        self._queries = int(self._placed.sum())
        distance = torch.cdist(site.queries.nan_to_num(0), site.keys.nan_to_num(0))
        self._has_place = ~site.keys[..., 0].isnan()
        self._distance = torch.where(self._has_place[:, None], distance, 0).float()
        shape = (images, site.heads)
        self.distance_px, self._renormalised, self.renormalised_share = (
            torch.zeros(shape, dtype=torch.float64) for _ in range(3)
        )
        self.outside_mass, self.entropy_nats = (
            torch.zeros(shape, dtype=torch.float64) for _ in range(2)
        )

    @property
    def distance_renormalised_px(self) -> torch.Tensor:
        """[images, heads], `distance_px` with A_ij divided by query i's attention to places."""
        share = self.renormalised_share
        return torch.where(share > 0, self._renormalised / share, 0)

    def add(self, image: int, part: slice, rows: torch.Tensor) -> None:
        """Take in some slices [slices, queries, keys] of one image."""
        windows = torch.tensor(self._site.window_of[part])
        heads = torch.tensor(self._site.head_of[part])
        placed = self._placed[windows].to(rows.device)
        has_place = self._has_place[windows].to(rows.device)[:, None]
        distances = self._distance[windows].to(rows.device)
        mass = (rows * has_place).sum(-1)
        reach = (rows * distances).sum(-1)
        parts = {
            "distance_px": reach,
            "_renormalised": torch.where(mass > 0, reach / mass, 0),
            "renormalised_share": (mass > 0).to(reach),
            "outside_mass": (rows * ~has_place).sum(-1),
            "entropy_nats": entropy(rows),
        }
        for name, values in parts.items():
            sums = (values * placed).double().sum(-1).cpu() / self._queries
            getattr(self, name)[image].index_add_(0, heads, sums)
