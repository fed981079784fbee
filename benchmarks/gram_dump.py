"""Gram dump against its limit: the forward pass, and n²p/2 multiply-adds a layer at this machine's
own rate.

    python benchmarks/gram_dump.py

Prints limit / actual of CPU time, one thread, for networks of `default`'s size, for larger
ones and for a ViT-Ti/16 at 224 px. The rate is BLAS's best at each layer's own shape (n × p):
torch's whole product (GEMM), or a syrk of NumPy's or SciPy's, which forms half of it. Goal: 0.9 at
least. Beside it the ratio at the rate of oneDNN's whole product, where it is faster: a limit that
no product of half a matrix reaches, because its strips are narrow and cover the diagonal.
"""

import functools
from types import SimpleNamespace
from typing import Any

import measuring
import numpy as np
import torch
from scipy.linalg import blas

from sightlines.core.threads import one_thread
from sightlines.dumps.gram import minibatch_grams
from sightlines.dumps.gram_product import multiply
from sightlines.models.building import build, layers_of
from sightlines.models.layers import capture
from sightlines.plan.networks import Network

REPEATS = 7
WIDEST = 2**16
"""Features of the largest product that is timed; wider ones run at its rate."""
TIMM = {"family": "timm", "name": "vit_tiny_patch16_224", "arguments": {}, "layers": []}
CASES = {
    "ViT of default": (measuring.VIT | {"width": 36, "depth": 6}, 128, 32),
    "ResNet of default": (measuring.RESNET | {"channels": [32, 64, 128]}, 128, 32),
    "ViT, width 96": (measuring.VIT, 256, 32),
    "ResNet, 64 channels": (measuring.RESNET, 256, 32),
    "ViT-Ti/16": (TIMM, 128, 224),
}
"""Config, images of a minibatch and their size of each network."""


def main():
    """Time all networks, forward and dump in turns."""
    torch.set_num_threads(1)
    with one_thread():
        for name, case in CASES.items():
            report(name, *case)


def report(name, config, images, size_px):
    """Time one network, and print what it could take at the least."""
    is_timm = config["family"] == "timm"
    model = build(config, size_px, 1000, 0).eval() if is_timm else measuring.build(config, seed=1)
    layers = layers_of(config["family"], model)
    shown: Any = SimpleNamespace(model=model, layers=layers, network=Network("model", "f000", "s0"))
    pixels = torch.randn(images, 3, size_px, size_px, generator=torch.Generator().manual_seed(1))

    def forward():
        with torch.inference_mode():
            model(pixels)

    features = count_features(model, layers, pixels[:2])
    repeats = REPEATS if size_px < 100 else 3
    seconds = measuring.measure(
        {"forward": forward, "dump": lambda: minibatch_grams(shown, pixels)}, repeats
    )
    rates = [half_gram_rates(images, min(count, WIDEST)) for count in features]
    work = images**2 * features / 2
    own = (work / [max(rate["gemm"], rate["syrk"]) for rate in rates]).sum()
    best = (work / [max(rate.values()) for rate in rates]).sum()
    actual = seconds["dump"]
    print(
        f"{name}, {images} images: {len(layers)} layers, {features.sum() / 1e6:.2f} M features, "
        f"forward {seconds['forward']:.3f} s, dump {actual:.3f} s\n"
        f"  Grams at BLAS's rate {own:.3f} s ({work.sum() / own / 1e9:.0f} G multiply-adds a "
        f"second): limit / actual {(seconds['forward'] + own) / actual:.2f}\n"
        f"  Grams at the rate of the best whole product {best:.3f} s "
        f"({work.sum() / best / 1e9:.0f} G): {(seconds['forward'] + best) / actual:.2f}",
        flush=True,
    )


@functools.cache
def half_gram_rates(images, features):
    """Useful multiply-adds a second: n²p of a whole product, n²p/2 of a syrk."""
    x = torch.randn(images, features)
    array, out = x.numpy(), np.zeros((images, images), np.float32, order="F")
    products = {
        "gemm": lambda: torch.mm(x, x.T),
        "syrk": lambda: blas.ssyrk(1, array.T, c=out, trans=1, overwrite_c=1),
        "numpy": lambda: array @ array.T,
        "onednn": lambda: multiply(x, x),
    }
    times = max(int(4e8 / (images**2 * features)), 1)

    def repeated(product):
        for _ in range(times):
            product()

    work = {name: functools.partial(repeated, product) for name, product in products.items()}
    seconds = measuring.measure(work, REPEATS)
    rates = {name: images**2 * features * times / seconds[name] for name in products}
    syrk = max(rates["syrk"], rates["numpy"]) / 2
    return {"gemm": rates["gemm"], "syrk": syrk, "onednn": rates["onednn"]}


def count_features(model, layers, pixels):
    """Features of each layer."""
    counts = np.zeros(len(layers), int)

    def note(index, activations):
        counts[index] = activations[0].numel()

    with torch.inference_mode(), capture(model, layers, note):
        model(pixels)
    return counts


if __name__ == "__main__":
    main()
