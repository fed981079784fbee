"""Slow float64 twin of the minibatch estimator: Song et al. 2012, equation 5, with loops."""

import math

import numpy as np


def hsic_song(k, l):  # noqa: E741
    """Unbiased HSIC₁ of two Gram matrices [n, n], written out sum by sum."""
    n = len(k)
    k, l = k.copy(), l.copy()  # noqa: E741
    for i in range(n):
        k[i, i] = l[i, i] = 0.0
    trace = sum_k = sum_l = cross = 0.0
    rows_k, rows_l = k.sum(1), l.sum(1)
    for i in range(n):
        trace += float(np.dot(k[i], l[i]))
        sum_k += float(rows_k[i])
        sum_l += float(rows_l[i])
        cross += float(rows_k[i] * rows_l[i])
    total = trace + sum_k * sum_l / ((n - 1) * (n - 2)) - 2 * cross / (n - 2)
    return total / (n * (n - 3))


def cka_song(minibatches_x, minibatches_y):
    """CKA: HSICs summed over minibatches with weights n(n-3), then their ratio."""
    xy = xx = yy = 0.0
    for x, y in zip(minibatches_x, minibatches_y, strict=True):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        x, y = x - x.mean(0), y - y.mean(0)
        weight = len(x) * (len(x) - 3)
        k, l = x @ x.T, y @ y.T  # noqa: E741
        xy += weight * hsic_song(k, l)
        xx += weight * hsic_song(k, k)
        yy += weight * hsic_song(l, l)
    return xy / math.sqrt(xx * yy)


def cka_biased(x, y):
    """The formula that the paper prints: HSIC with the diagonals, biased at few images."""
    n = len(x)
    h = np.eye(n) - 1 / n
    k, l = h @ (x @ x.T) @ h, h @ (y @ y.T) @ h  # noqa: E741
    return (k * l).sum() / math.sqrt((k * k).sum() * (l * l).sum())
