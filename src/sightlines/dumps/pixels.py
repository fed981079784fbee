"""Gram matrices of the reference images themselves: what similarity owes to the input alone.

Source: Cui et al. 2022 (input similarity as the confounder of representation similarity). One file
an experiment, read like a Gram dump of a network with a single layer: normalised pixels, flattened.
"""

import itertools

import numpy as np
import torch

from sightlines.core.devices import prepare
from sightlines.core.files import TensorWriter, require_free_space, safetensors_bytes
from sightlines.datasets.reading import normalise, open_dataset
from sightlines.datasets.store import open_splits
from sightlines.dumps.gram_product import packed_gram
from sightlines.jobs.command import Job, run

READER = "sightlines.dumps.reading:GramDump"
NAME = ("pixels", "f000", "s0")
"""What the file says in place of a network."""


def main(job: Job) -> None:
    """Write the Gram of each minibatch of reference images."""
    compute = prepare(job.config["compute"])
    job.notes.update(compute.describe())
    images = open_dataset(job.input("dataset"), job.source, compute)
    splits = open_splits(job.input("reference"), job.input("dataset"))
    order, bounds = np.asarray(splits["reference"]), np.asarray(splits["reference_bounds"])
    minibatches = [order[a:b] for a, b in itertools.pairwise(bounds)]
    sizes = [len(minibatch) for minibatch in minibatches]
    meta = {
        "network": list(NAME),
        "layers": [_layer(images.size_px)],
        "reference_sha256": splits.meta["reference_sha256"],
        "batch_sizes": sizes,
    }
    shapes = {f"gram.{i:03d}": ("F32", (1, n * (n + 1) // 2)) for i, n in enumerate(sizes)}
    path = job.output("dump")
    require_free_space(path.parent, safetensors_bytes(shapes, meta), f"the pixel Grams {path}")
    with TensorWriter(path, shapes, meta) as writer, torch.inference_mode():
        for name, pixels in zip(shapes, images.batches("test", minibatches), strict=True):
            shown = normalise(pixels, images.mean, images.std)
            writer.write(name, packed_gram(shown).cpu().numpy()[None])


def _layer(size_px: int) -> dict[str, object]:
    """The layer table's only row."""
    row = {"index": 0, "name": "pixels", "kind": "embed", "block": -1, "depth": 0.0}
    return row | {"features": 3 * size_px**2}


if __name__ == "__main__":
    run(main)
