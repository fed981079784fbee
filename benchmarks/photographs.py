"""Photographs into a network: throughput with decoding, against the forward pass's own.

    python benchmarks/photographs.py [--model vit_tiny_patch16_224] [--folder <image folder>]

JPEGs of 224 px (made here unless a folder is given) are decoded by worker processes while the
network runs on one thread; or decoded and kept on the disk, as every job that is the first to show
a photograph does, and taken from there, as all others do. Wall time; all are measured in turns.
Goal on 2 free cores: at least 0.8, and 0.95 for those that are kept. Then processor milliseconds
an image of each way of reading, without a network and in this process alone.
"""

import argparse
import contextlib
import hashlib
import tempfile
import time
from pathlib import Path

import measuring
import numpy as np
import torch
from PIL import Image

from sightlines.datasets.decoded import Slots, _Kept
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
        names, view = [str(path) for path in paths], View(224, "bicubic", 0.9)
        files, store = _Photographs(folder, names, hashes, view, {}), Path(name) / "kept.pixels"
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

        def kept(workers, use):
            with contextlib.closing(Slots(store, len(paths), 224)) as slots:
                keeping = _Kept(folder, names, hashes, view, {}, slots=slots)
                for pixels in _decode_ahead(keeping, batches, workers):
                    use(torch.from_numpy(pixels))

        def first(workers=WORKERS, use=look):
            store.unlink(missing_ok=True)
            kept(workers, use)

        ways = {"bare": bare, "streamed": streamed, "first": first, "again": lambda: kept(0, look)}
        with torch.inference_mode():
            wall_s = measuring.measure(ways, REPEATS, time.perf_counter)
        cpu_s = measuring.measure(
            {
                "decoded": lambda: [files[batch] for batch in batches],
                "decoded and kept": lambda: first(0, len),
                "taken from the disk": lambda: kept(0, len),
            },
            REPEATS,
        )
    rate = {way: len(paths) / seconds for way, seconds in wall_s.items()}
    print(
        f"{said.model}, images a second: {rate['bare']:.1f} from memory, {rate['streamed']:.1f} "
        f"decoded meanwhile (ratio {rate['streamed'] / rate['bare']:.2f}), {rate['first']:.1f} "
        f"decoded and kept ({rate['first'] / rate['bare']:.2f}), {rate['again']:.1f} taken from "
        f"the disk ({rate['again'] / rate['bare']:.2f})"
    )
    for way, seconds in cpu_s.items():
        print(f"{way}: {1e3 * seconds / len(paths):.2f} processor ms an image")


if __name__ == "__main__":
    main()
