"""Processor time of showing a network changed images, against its bare forward passes.

    python benchmarks/changed_images.py [--images 192] [--family resnet]

A ViT-S and a ResNet of cifar10_small's size and its own conditions: changed images made, networks
run, answers and features kept. The limit is as many forward passes of the same minibatches, with
nothing else. Goal: 1.5 at most. A ResNet's pass costs some ten times a ViT's: 192 images and two
reference minibatches, each measured twice, are some four minutes of one core for both; the ratio is
that of more, since all of it grows with the images.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
REPEATS, REFERENCE = 2, (128, 128)
"""Measurements of each, of which the least counts; and reference minibatches."""
VIT = {
    "family": "vit",
    **{"patch_px": 4, "width": 48, "depth": 6, "heads": 6, "mlp_ratio": 4, "pool": "cls"},
    **{"drop_path": 0, "dropout": 0, "qkv_bias": True},
}
RESNET = {
    "family": "resnet",
    **{"units": [2, 2, 2], "channels": [32, 64, 128], "stem": "small", "stem_channels": 16},
    **{"groups": 8, "drop_path": 0},
}
KINDS = ("occlusions", "lesions", "occlusion_depth")


def settings(kind, images):
    """What the config's defaults ask of a kind."""
    from sightlines.plan import registry
    from sightlines.plan.config_types import Conditions

    family = registry.declarations("dumps", kind)["CONDITIONS"]
    own: dict = getattr(Conditions(), family).recorded()
    return own | {"images": images} | ({"cells": 8} if "cells" in own else {})


def bare(shown, kind, content):
    """As many forward passes of the same minibatches; the CPU seconds."""
    import measuring
    import torch

    from sightlines.dumps import responses
    from sightlines.dumps.labelled import cut

    passes = 1 + len(content.meta["conditions"])
    if kind == "occlusion_depth":
        minibatches = [m.images for m in shown.reference()]
    else:
        walk = responses.walk_of(shown, 0, content.meta["images"])
        minibatches = [m.images for m in cut([walk], shown.batch_size)]
    pixels = list(shown.pixels("test", minibatches))
    began = measuring.cpu_s()
    with torch.inference_mode():
        for images in pixels:
            for _ in range(passes):
                shown.model(images)
    return measuring.cpu_s() - began


def main():
    """Measure dumps and passes in turn, the least of some repeats."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--family", choices=("vit", "resnet"), help="this one alone")
    asked = parser.parse_args()
    images = asked.images
    import measuring
    import torch
    from tests.dumps import making_experiments as making

    from sightlines.core.files import TensorReader
    from sightlines.plan import registry

    torch.set_num_threads(1)
    for config in (c for c in (VIT, RESNET) if asked.family in (None, c["family"])):
        total = [0.0, 0.0]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            dataset = making.make_dataset(folder / "data", 32, 100, 2000, 10)
            making.make_splits(dataset, folder / "splits.safetensors", 50)
            making.make_reference(dataset, folder / "reference.safetensors", [*REFERENCE])
            making.make_network(folder, config, dataset)
            for kind in KINDS:
                declared = registry.declarations("dumps", kind)
                path = folder / f"{declared['SPLITS']}.safetensors"
                shown = replace(making.open_shown(folder, dataset, path), batch_size=256)
                shown = replace(shown, splits=TensorReader(path))
                times = []
                for _ in range(REPEATS):
                    began = measuring.cpu_s()
                    content = registry.load("dumps", kind).record(
                        shown, seed=0, conditions=settings(kind, images)
                    )
                    for _ in content.tensors:
                        pass
                    spent = measuring.cpu_s() - began
                    times.append((spent, bare(shown, kind, content)))
                own, passes = (min(column) for column in zip(*times, strict=True))
                total = [total[0] + own, total[1] + passes]
                print(
                    f"{config['family']}, {kind}: {own:.2f} s, bare passes {passes:.2f} s: "
                    f"ratio {own / passes:.2f}",
                    flush=True,
                )
        print(f"{config['family']}, all: ratio {total[0] / total[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
