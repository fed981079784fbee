"""A layer's packed Gram in float64, and the comparison of a dump's with it."""

import numpy as np

from tests.rounding import assert_rounded


def gram_of(activations):
    """Upper triangle of X_c X_cᵀ, row after row; the first axis is the images."""
    x = np.asarray(activations, np.float64).reshape(len(activations), -1)
    x = x - x.mean(0)
    return (x @ x.T)[np.triu_indices(len(x))]


def assert_gram(found, activations, name=""):
    """Each entry is a sum over the layer's features in float32; a layer that is 0 has none."""
    expected = gram_of(activations)
    if expected.any():
        features = np.asarray(activations)[0].size
        assert_rounded(found, expected, name, terms=features, dtype=np.float32)
    else:
        assert not np.asarray(found).any(), name
