"""Photographs into a network: throughput with decoding, against the forward pass's own.

    python benchmarks/photographs.py [--model vit_tiny_patch16_224] [--folder <image folder>]

JPEGs of 224 px (made here unless a folder is given) are decoded by worker processes while the
network runs on one thread. Wall time; both are measured in turns. Goal on 2 free cores: at least
0.8.
"""

import argparse
import hashlib
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sightlines.datasets.reading import _decode_ahead, _Photographs, normalise
from sightlines.datasets.views import View
from sightlines.models.building import build, placed

IMAGES, BATCH, WORKERS, REPEATS = 256, 64, 2, 3


def make_photographs(folder):
    """JPEGs with structure at all scales, about as large as photographs of this size."""
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        whole = np.zeros((224, 224, 3))
        for side in (4, 14, 56, 224):
            part = rng.normal(0, 90 / side**0.5, (side, side, 3))
            whole += np.kron(part, np.ones((224 // side, 224 // side, 1)))
        pixels = (128 + whole).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04d}.jpg", quality=90)


def main():
    """Forward passes on pixels that are there, and on pixels that are decoded meanwhile."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="vit_tiny_patch16_224")
    parser.add_argument("--folder", type=Path)
    said = parser.parse_args()
    torch.set_num_threads(1)
    config = {"family": "timm", "name": said.model, "arguments": {}, "layers": []}
    model = placed(build(config, 224, 1000, seed=0).eval(), torch.device("cpu"))
    with tempfile.TemporaryDirectory() as name:
        folder = said.folder or Path(name)
        if not said.folder:
            make_photographs(folder)
        paths = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())[:IMAGES]
        hashes = [hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in paths]
        files = _Photographs(folder, [str(p) for p in paths], hashes, View(224, "bicubic", 0.9), {})
        batches = np.array_split(np.arange(len(paths)), len(paths) // BATCH)
        held = [torch.from_numpy(files[batch]) for batch in batches]

        def look(pixels):
            model(normalise(pixels, [0.5] * 3, [0.5] * 3))

        def bare():
            for pixels in held:
                look(pixels)

        def streamed():
            for pixels in _decode_ahead(files, batches, WORKERS):
                look(torch.from_numpy(pixels))

        seconds: dict[str, list[float]] = {"bare": [], "streamed": []}
        with torch.inference_mode():
            bare()
            for _ in range(REPEATS):
                for kind, run in (("bare", bare), ("streamed", streamed)):
                    began = time.perf_counter()
                    run()
                    seconds[kind].append(time.perf_counter() - began)
    bare_s, streamed_s = (statistics.median(seconds[kind]) for kind in ("bare", "streamed"))
    print(
        f"{said.model}: {len(paths) / bare_s:.1f} images a second from memory, "
        f"{len(paths) / streamed_s:.1f} decoded meanwhile: ratio {bare_s / streamed_s:.2f}"
    )


if __name__ == "__main__":
    main()
