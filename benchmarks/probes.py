"""A linear probe with 31 penalties against the products and the eigendecomposition that it needs.

    python benchmarks/probes.py

prints actual / needed CPU time; goal: at most 1.5. Then the same against a solve for every
penalty, which is what a probe costs without the decomposition.
"""

import os
from functools import partial

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import measuring
import numpy as np

from sightlines.dumps.features_reading import Labelled
from sightlines.measures.probing import EVERY_IMAGE, Support, groups_of, probe
from sightlines.stats import ridge

CLASSES, HELD_OUT, REPEATS, TIMES = 10, 250, 7, 40
CASES = ((1000, 48, 500), (1000, 64, 500), (1000, 128, 500), (1000, 128, 3000), (100, 128, 500))
"""Training images, features, test images."""


def labelled(train, width, test):
    """Random features with some information on the class."""
    rng = np.random.Generator(np.random.Philox(1))
    centres = rng.standard_normal((CLASSES, width))
    parts = []
    for count in (train, HELD_OUT, test):
        labels = rng.integers(0, CLASSES, count)
        parts += [centres[labels] + 4 * rng.standard_normal((count, width)), labels]
    return Labelled(*parts)


def needed(data):
    """The products and the decomposition alone, on arrays of the right shapes."""
    x, width = data.train, data.train.shape[1]
    targets = np.ones((len(x), CLASSES))
    is_wide = width > len(x)
    side = len(x) if is_wide else width
    gram = x @ x.T if is_wide else x.T @ x
    weights = np.ones((side, len(ridge.PENALTIES) * CLASSES))
    read_out = np.ones((width, CLASSES))

    def run():
        product = x @ x.T if is_wide else x.T @ x
        _, vectors = np.linalg.eigh(gram)
        basis = x.T @ vectors if is_wide else vectors
        response = vectors.T @ (targets if is_wide else x.T @ targets)
        scores = (data.held_out @ basis) @ weights
        chosen = basis @ response
        return product, scores, chosen, data.test @ read_out

    return run


def solve_each(data):
    """One solve for every penalty."""
    x, width = data.train, data.train.shape[1]
    targets = np.ones((len(x), CLASSES))

    def run():
        gram, response = x.T @ x, x.T @ targets
        for penalty in ridge.PENALTIES:
            weights = np.linalg.solve(gram + penalty * np.eye(width), response)
            (data.held_out @ weights).argmax(axis=1)

    return run


def main():
    """Print one line a case."""
    for train, width, test in CASES:
        data = labelled(train, width, test)
        support = Support(EVERY_IMAGE, 0, np.arange(train))
        functions = {
            "ours": partial(probe, data, support, CLASSES, groups_of(test, 0, "")),
            "needed": needed(data),
            "each": solve_each(data),
        }
        repeated = {n: lambda f=f: [f() for _ in range(TIMES)] for n, f in functions.items()}
        seconds = measuring.measure(repeated, REPEATS)
        ours, least, each = (1000 * seconds[n] / TIMES for n in functions)
        print(
            f"N {train}, D {width}, test {test}: {ours:.2f} ms, needed {least:.2f} ms: "
            f"actual / needed {ours / least:.2f}; a solve for each penalty {each:.2f} ms: "
            f"{each / ours:.1f} times"
        )


if __name__ == "__main__":
    main()
