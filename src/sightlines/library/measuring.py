"""Attention, receptive fields, skips and probes for a notebook, by the measures of the pipeline."""

import math
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sightlines.core.errors import ConfigError, ResultError
from sightlines.core.files import TensorReader, sha256, write_tensors
from sightlines.datasets.split import describe, order_labelled
from sightlines.dumps.reading import check_networks
from sightlines.library import recording
from sightlines.library.arguments import IMAGES, NETWORK, require
from sightlines.library.images import Images
from sightlines.library.networks import Network
from sightlines.measures import attention_distance as distances
from sightlines.measures import probes as probing
from sightlines.measures import receptive_fields as fields
from sightlines.measures import skip_ratios as skips
from sightlines.models.attention import prefix_tokens
from sightlines.models.found_layers import attention_of
from sightlines.plan.config_types import Probes, ReceptiveField


def attention_distance(network: Network, images: Images) -> pd.DataFrame:
    """How far each attention head of a network looks.

    Raghu et al. 2021, section 4: mean distance between query and key patches, weighted by
    attention, in pixels of what the network sees; prefix tokens are left out without renormalising.

    Args:
        network: A plain ViT: one attention between all patches in every block.
        images: From `images`.

    Returns:
        One row a head: block, head, distance_px, its standard deviation over images, `relative` to
        uniform attention, and more (docs/tables.md, attention_distance.csv).

    Example:
        >>> table = sl.attention_distance(vit, images)
        >>> bool((table["distance_px"] > 0).all())
        True

    Raises:
        ResultError: the network's attention is none, or in windows or between other grids, which
            a run measures (docs/tables.md, attention_sites.csv).
    """
    _require("attention_distance", network, images)
    _require_plain(network)
    dump = recording.record("attention", recording.shown(network, images))
    return distances.head_table(dump)


def receptive_fields(
    network: Network, images: Images, *, limit: int | None = None, **settings: Any
) -> pd.DataFrame:
    """How much of an image the middle of each block's output is sensitive to.

    Raghu et al. 2021, section 4, Figure 6; Luo et al. 2016: mean absolute gradient of the unit in
    the middle with respect to the pixels.

    Args:
        network: From `load`.
        images: From `images`.
        limit: At most so many of the images; by default as many as a run takes, 32.
        settings: `channels` and `depths`, as under `receptive_field` in a config
            (workflow/config/README.md).

    Returns:
        One row a layer: side in px of the square that holds most of the gradient, and more
        (docs/tables.md, receptive_fields.parquet).

    Example:
        >>> table = sl.receptive_fields(cnn, images, channels=8)
        >>> bool((table["depth"].diff().dropna() >= 0).all())
        True

    Raises:
        ConfigError: a setting is unknown, or a number is none of 1 or more.
    """
    _require("receptive_fields", network, images)
    _require_counts("receptive_fields", settings if limit is None else settings | {"limit": limit})
    known = ReceptiveField().recorded()
    shown_images = known.pop("images") if limit is None else limit
    given = _settings(known, settings) | {"images": shown_images}
    shown = recording.shown(network, images)
    dump = recording.record("receptive_field", shown, receptive_field=given)
    return pd.DataFrame(fields.size_rows(dump))


def skip_ratios(network: Network, images: Images) -> pd.DataFrame:
    """How much larger what passes by a block's branch is than what the branch adds.

    Raghu et al. 2021, section 6, Figure 7: norm of the skip over norm of the branch, by token.

    Args:
        network: From `load`.
        images: From `images`.

    Returns:
        One row a branch and kind of token (docs/tables.md, skip_ratios.parquet).

    Example:
        >>> table = sl.skip_ratios(vit, images)
        >>> sorted(table["branch"].unique())
        ['attn', 'mlp']

    Raises:
        ResultError: the network has no skips that can be measured.
    """
    _require("skip_ratios", network, images)
    dump = recording.record("skips", recording.shown(network, images))
    return skips.ratio_table(dump, skips.token_means(dump))


def probe(
    network: Network, images: Images, *, test_share: float = 0.5, seed: int = 0, **settings: Any
) -> pd.DataFrame:
    """How well a linear classifier on each layer tells the images' classes.

    Ridge regression on pooled features; its penalty is chosen on images that it was not fitted to.

    Args:
        network: From `load`.
        images: With classes: an array with labels, or a folder with one folder a class.
        test_share: Share of the images that the probe is tested on; a tenth of the others chooses
            the penalty.
        seed: Of the division.
        settings: Keys of `probes` in a config (workflow/config/README.md).

    Returns:
        One row a layer, way of pooling and number of shots (docs/tables.md, probes.parquet).

    Example:
        >>> table = sl.probe(vit, labelled)
        >>> bool(table["accuracy"].between(0, 1).all())
        True

    Raises:
        ConfigError: the images have fewer than two classes, or a setting is unknown.
    """
    _require("probe", network, images)
    given = _settings(Probes().recorded(), settings)
    splits = _divide(images, test_share, seed)
    dump = recording.record("features", recording.shown(network, images, splits))
    check_networks([dump], [network.identity.slug])
    rows = probing.probe_network(dump, probing.OWN, given, seed, has_halves=False)
    return pd.DataFrame(rows).drop(columns="replicates", errors="ignore")


def _require(called: str, network: Network, images: Images) -> None:
    """Refuse what is no network or no images."""
    require(network, Network, f"{called}: network", NETWORK)
    require(images, Images, f"{called}: images", IMAGES)


def _require_counts(called: str, given: dict[str, Any]) -> None:
    """Refuse what is no whole number of 1 or more."""
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ConfigError(f"{called}: {name} is {value!r}; give a whole number of 1 or more")


def _settings(known: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A block of the config, `known`, with what is given in the place of its defaults."""
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise ConfigError(f"unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return known | given


def _require_plain(network: Network) -> None:
    """Refuse networks of which blocks would be left out: the recorder is for plain ViTs alone."""
    sites, others = attention_of(network.module, network.card["size_px"])
    if not sites:
        why = "; ".join(sorted({*others.values()})) or "it has no softmax attention"
        raise ResultError(f"{network!r} has no attention between places of the image: {why}")
    tokens = prefix_tokens(network.module) + math.prod(network.card["grid"])
    odd = [s.name for s in sites if {s.queries.shape[:2], s.keys.shape[:2]} != {(1, tokens)}]
    if odd:
        raise ResultError(
            f"{network!r} attends otherwise than between all its tokens, row after row ({odd[0]}: "
            "in windows, between other grids or tokens, or in an order of its own), which a run "
            "measures: table('attention_sites')"
        )


def _divide(images: Images, test_share: float, seed: int) -> TensorReader:
    """Images that the probe is fitted to, chosen by and tested on: all are drawn from one split."""
    if not images.is_pool:
        raise ConfigError(f"{images!r} are of a run, which has its own: see table('probes')")
    labels = images.set.labels("test")
    if len(np.unique(labels)) < 2:
        raise ConfigError(f"{images!r} have fewer than two classes: there is nothing to tell")
    order = order_labelled(labels, np.arange(len(labels)), seed, "library probes")
    bound = round(len(order) * (1 - test_share))
    cut = max(bound // 10, 1)
    parts: Mapping[str, np.ndarray] = {
        "probe_held_out": order[:cut],
        "probe_train": order[cut:bound],
        "probe_test": order[bound:],
    }
    if min(map(len, parts.values())) < 2:
        raise ConfigError(f"{len(order)} images are too few to fit, choose and test a probe")
    tensors = dict(parts) | {k.replace("probe", "order"): v for k, v in parts.items()}
    path = Path(images.reference.path).with_name(f"probes-{seed}-{test_share:g}.safetensors")
    meta = describe(tensors, sha256(images.set.path), images.classes)
    write_tensors(path, tensors, meta)
    return TensorReader(path)
