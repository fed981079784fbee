"""A ViT-B/16 at 224 px, minibatches of 256: memory, size and time of its dumps, and their limits.

    python benchmarks/public_network.py [--model NAME] [--minibatches 1]

Goals: peak memory of the Gram and of the attention dump below 6 GiB each; file as large as said
before the run to 2 %; time at most 1.7 × that of forward passes and of Gram products at this
machine's rate.
"""

import argparse
import logging
import os
import resource
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import measuring
import torch

from sightlines.core.files import TensorWriter, safetensors_bytes
from sightlines.dumps import attention, gram
from sightlines.dumps.passes import rows_of
from sightlines.models.building import build, layers_of, placed
from sightlines.models.layers import capture, layer_table
from sightlines.plan.networks import Network

IMAGES, SIZE_PX = 256, 224


def shown(name):
    """What a dump knows of a network, with random weights."""
    config = {"family": "timm", "name": name, "arguments": {}, "layers": []}
    model: Any = placed(build(config, SIZE_PX, 1000, seed=0).eval(), torch.device("cpu"))
    side = SIZE_PX // model.patch_embed.patch_size[0]
    card = {"grid": [side, side], "size_px": SIZE_PX}
    layers = layers_of("timm", model)
    return SimpleNamespace(
        model=model, layers=layers, network=Network(name, "f000", "s0"), card=card
    )


def pixels():
    """One minibatch."""
    return torch.randn(IMAGES, 3, SIZE_PX, SIZE_PX)


def work(kind, name, minibatches, out):
    """One kind of pass over all minibatches: prints CPU seconds, and peak memory in bytes."""
    torch.set_num_threads(1)
    network = shown(name)
    began = measuring.cpu_s()
    if kind == "gram":
        predicted, path = dump_grams(network, minibatches, Path(out))
        print(predicted, path.stat().st_size)
    for _ in range(minibatches if kind != "gram" else 0):
        meta, images = attention.describe_attention(network), pixels()
        watched = attention.watch_attention(network, images, meta)
        rows_of(network.model, images, watched if kind == "attention" else nullcontext())
    print(measuring.cpu_s() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def dump_grams(network, minibatches, folder):
    """Write a Gram dump as the command does; its size as predicted, and its path."""
    path = folder / "gram.safetensors"
    shapes = gram.gram_shapes([IMAGES] * minibatches, len(network.layers))
    meta = {"layers": layer_table(network.layers)}
    with TensorWriter(path, shapes, meta) as writer:
        for index in range(minibatches):
            for key, values in gram.minibatch_grams(network, pixels())._asdict().items():
                writer.write(f"{key}.{index:03d}", values)
    return safetensors_bytes(shapes, meta), path


def features(network):
    """Features of all layers together."""
    counts = {}

    def note(index, value):
        counts[index] = value[0].numel()

    with torch.inference_mode(), capture(network.model, network.layers, note):
        network.model(torch.zeros(2, 3, SIZE_PX, SIZE_PX))
    return sum(counts.values())


def main():
    """Each kind of pass in a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="vit_base_patch16_224")
    parser.add_argument("--minibatches", type=int, default=1)
    parser.add_argument("--work", default="")
    parser.add_argument("--out", default="")
    said = parser.parse_args()
    logging.disable()
    if said.work:
        work(said.work, said.model, said.minibatches, said.out)
        return
    torch.set_num_threads(1)
    network = shown(said.model)
    rate = measuring.gemm_rate(IMAGES, IMAGES, 8192)
    products = said.minibatches * IMAGES**2 * features(network) / 2 / rate
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("forward", "gram", "attention"):
            command = [sys.executable, __file__, "--work", kind, "--out", folder]
            command += ["--model", said.model, "--minibatches", str(said.minibatches)]
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, env=dict(os.environ)
            )
            lines = [line.split() for line in done.stdout.splitlines()]
            found[kind] = float(lines[-1][0]), int(lines[-1][1])
            if kind == "gram":
                predicted, written = map(int, lines[0])
    (forward, _), (dump, dump_peak), (_, attention_peak) = found.values()
    print(
        f"{said.model}, {said.minibatches} × {IMAGES} images: {len(network.layers)} layers\n"
        f"peak memory: Gram dump {dump_peak / 2**30:.2f} GiB, "
        f"attention dump {attention_peak / 2**30:.2f} GiB (goal: below 6)\n"
        f"size: predicted / written {predicted / written:.4f}\n"
        f"time: forward {forward:.1f} s, products at the limit {products:.1f} s, "
        f"dump {dump:.1f} s: dump / limit {dump / (forward + products):.2f} (goal: at most 1.7)"
    )


if __name__ == "__main__":
    main()
