"""Gram dump against its limit: the forward pass, and n²p/2 multiply-adds at this machine's rate.

    python benchmarks/gram_dump.py

prints limit / actual of processor time; goal: at least 0.6.
"""

from types import SimpleNamespace

import measuring
import numpy as np
import torch

from sightlines.dumps.gram import minibatch_grams
from sightlines.models.building import layers_of
from sightlines.models.layers import capture
from sightlines.plan.networks import Network

IMAGES, REPEATS = 256, 5


def main():
    """Time both networks, forward and dump in turns."""
    torch.set_num_threads(1)
    rate = measuring.gemm_rate(IMAGES, IMAGES, 8192)
    print(f"float32 product: {rate / 1e9:.0f} G multiply-adds a second")
    pixels = measuring.images(IMAGES)
    for config in (measuring.VIT, measuring.RESNET):
        model = measuring.build(config, seed=1)
        layers = layers_of(config["family"], model)
        network = Network(config["family"], "f000", "s0")
        shown = SimpleNamespace(model=model, layers=layers, network=network)
        features = count_features(model, layers, pixels[:2])

        def forward(model=model):
            with torch.inference_mode():
                model(pixels)

        def dump(shown=shown):
            minibatch_grams(shown, pixels)

        seconds = measuring.measure({"forward": forward, "dump": dump}, REPEATS)
        grams = IMAGES**2 * features / 2 / rate
        limit = seconds["forward"] + grams
        print(
            f"{config['family']}: {len(layers)} layers, {features / 1e6:.2f} M features, "
            f"forward {seconds['forward']:.2f} s, Grams at the limit {grams:.2f} s, "
            f"dump {seconds['dump']:.2f} s: limit / actual {limit / seconds['dump']:.2f}, "
            f"Grams alone {grams / (seconds['dump'] - seconds['forward']):.2f}"
        )


def count_features(model, layers, pixels):
    """Features of all layers together."""
    counts = np.zeros(len(layers), int)

    def note(index, activations):
        counts[index] = activations[0].numel()

    with torch.inference_mode(), capture(model, layers, note):
        model(pixels)
    return int(counts.sum())


if __name__ == "__main__":
    main()
