"""Gram and attention dumps written straight from arrays."""

import numpy as np

from sightlines.core.files import write_tensors
from sightlines.dumps.reading import GramDump

STORED = {"terms": 1, "size": 1, "dtype": np.float32}
"""How a CKA rounds whose Grams are stored in float32: each entry once, and it is 1 at most."""


def pack_features(x):
    """Packed float32 Gram of features [n, p]."""
    x = np.asarray(x, np.float64).reshape(len(x), -1)
    x = x - x.mean(0)
    gram = x @ x.T
    return gram[np.triu_indices(len(x))].astype(np.float32)


def layer_rows(count):
    return [
        {
            "index": i,
            "name": f"block{i:02d}.out",
            "kind": "residual" if i % 2 else "norm",
            "block": i // 2,
            "depth": i / max(count - 1, 1),
            "features": 7,
        }
        for i in range(count)
    ]


def write_gram(path, minibatches, network=("vit", "f100", "s0"), reference="r", layers=None):
    """Write a dump; `minibatches` is a list over minibatches of lists over layers of features."""
    sizes = [len(layers_[0]) for layers_ in minibatches]
    meta = {
        "network": list(network),
        "layers": layers or layer_rows(len(minibatches[0])),
        "batch_sizes": sizes,
        "reference_sha256": reference,
    }
    tensors = {
        f"gram.{b:03d}": np.stack([pack_features(x) for x in layers_])
        for b, layers_ in enumerate(minibatches)
    }
    write_tensors(path, tensors, meta)
    return GramDump(path)


def random_minibatches(seed, sizes, widths, shared=3):
    """Layers that share some latent variables, so that their CKA lies between 0 and 1."""
    rng = np.random.Generator(np.random.Philox(seed))
    maps = [rng.standard_normal((shared, width)) for width in widths]
    out = []
    for n in sizes:
        latent = rng.standard_normal((n, shared))
        out.append([latent @ m + 0.7 * rng.standard_normal((n, m.shape[1])) for m in maps])
    return out


def write_attention(path, statistics, network=("vit", "f100", "s0"), uniform_px=16.5, sizes=None):
    """Write an attention dump from {statistic: [[n, blocks, heads], …]}.

    Unless `statistics` says otherwise every query has a renormalised distance.
    """
    first = statistics["distance_px"]
    statistics = {"renormalised_share": [np.ones_like(x) for x in first]} | statistics
    blocks, heads = first[0].shape[1:]
    meta = {
        "network": list(network),
        "grid": [2, 3],
        "patch_px": 4,
        "heads": heads,
        "blocks": blocks,
        "uniform_px": uniform_px,
        "reference_sha256": "r",
        "batch_sizes": sizes or [len(x) for x in first],
    }
    tensors = {
        f"{name}.{i:03d}": x.astype(np.float32)
        for name, parts in statistics.items()
        for i, x in enumerate(parts)
    }
    tensors["offset_mass"] = np.zeros((blocks, heads, 3, 5), np.float32)
    write_tensors(path, tensors, meta)
