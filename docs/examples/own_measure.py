"""A measure of one's own: how many directions the representations of each layer use.

    python docs/examples/own_measure.py photographs/ vit_tiny_patch16_224 vit.safetensors

The participation ratio of the eigenvalues of a Gram matrix, (Σλ)² / Σλ², is the number of
directions if all were used alike. Both sums follow from the Gram itself: its trace, and the sum of
its squares.
"""

import sys

import numpy as np

import sightlines as sl


def directions(grams: sl.Grams) -> np.ndarray:
    """Participation ratio of every layer [layers], averaged over minibatches."""
    found = []
    for minibatch, images in enumerate(grams.dump.batch_sizes):
        packed = np.asarray(grams.dump.packed(minibatch), np.float64)
        rows, columns = np.triu_indices(images)
        on_diagonal = rows == columns
        trace = packed[:, on_diagonal].sum(axis=1)
        squares = (packed**2 * np.where(on_diagonal, 1, 2)).sum(axis=1)
        found.append(trace**2 / squares)
    return np.mean(found, axis=0)


def main(folder: str, name: str, weights: str) -> None:
    """Print one line a layer."""
    grams = sl.grams(sl.load(name, weights=weights), sl.images(folder, limit=512))
    table = grams.layer_table[["name", "depth"]].assign(directions=directions(grams))
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
