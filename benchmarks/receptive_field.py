"""Receptive fields against an older commit's, and against the bare backward passes.

    python benchmarks/receptive_field.py --old FOLDER [--images N] [--channels N] [MODEL …]

FOLDER is an older checkout (`git worktree add FOLDER c863f11`). Both compute the fields of the same
images by the same weights, in processes of their own, in turns; printed are new / old in processor
seconds (goal: at most 0.35), both peaks of memory, and the largest difference relative to the
largest value of a layer. Models are those of `default` at 32 px, and two of `imagenette` at 224 px.
Fewer channels than all favour the old code: what the new one shares, it shares among them.

Without `--old`, the new code beside the bare backward passes, one a channel, of this process.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightlines.dumps.receptive_field_layers import target_of, watched_layers
from sightlines.models.layers import capture

VIT = {
    "family": "vit",
    **{"patch_px": 4, "mlp_ratio": 4, "pool": "cls", "drop_path": 0, "dropout": 0},
    "qkv_bias": True,
}
MODELS = {
    "ViT-S": VIT | {"width": 36, "depth": 6, "heads": 6},
    "ViT-L": VIT | {"width": 48, "depth": 8, "heads": 6},
    "ResNet": {
        "family": "resnet",
        **{"units": [2, 2, 2], "channels": [32, 64, 128], "stem": "small", "stem_channels": 16},
        **{"groups": 8, "drop_path": 0},
    },
    "ViT-Ti/16": {"timm": "vit_tiny_patch16_224"},
    "MobileNetV2": {"timm": "mobilenetv2_100", "pad_type": "same"},
}
LARGE_PX, SMALL_PX, DEPTHS, REPEATS = 224, 32, 5, 3
SMALL_GRID = (8, 8)
"""Patches of the small ViTs, and the last map of the ResNet."""


def main():
    """Print a line for each model."""
    arguments = parsed()
    if arguments.run:
        run(arguments)
        return
    for name in arguments.models or MODELS:
        sides = {"new": "", "old": arguments.old} if arguments.old else {"new": "", "bare": ""}
        with tempfile.TemporaryDirectory() as folder:
            found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
            for _ in range(arguments.repeats):
                for side, source in sides.items():
                    found[side].append(start(name, side, source, folder, arguments))
            maps = [np.load(f"{folder}/{side}.npy") for side in sides]
        new, old = (statistics.median(x["cpu_s"] for x in found[side]) for side in sides)
        peaks = " and ".join(f"{max(x['peak_mb'] for x in found[side]):.0f}" for side in sides)
        size = maps[1].max(axis=(1, 2, 3), keepdims=True)
        apart = np.divide(
            np.abs(maps[0] - maps[1]), size, where=size > 0, out=np.zeros_like(maps[0])
        )
        other = [*sides][1]
        print(
            f"{name}: {found['new'][0]['what']}: new {new:.2f} s, {other} {old:.2f} s: "
            f"new / {other} {new / old:.2f}; peak memory {peaks} MB; "
            f"largest difference {apart.max():.1g}",
            flush=True,
        )


def parsed():
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", choices=[[], *MODELS], metavar="MODEL")
    parser.add_argument("--old", default="")
    parser.add_argument("--images", type=int)
    parser.add_argument("--channels", type=int)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def start(name, side, source, folder, arguments):
    """Seconds and peak memory of one process that computes a model's fields."""
    command = [sys.executable, __file__, name, "--run", side, folder]
    for key in ("images", "channels"):
        value = getattr(arguments, key)
        command += [f"--{key}", str(value)] if value else []
    source = str(Path(source or Path(__file__).parents[1]).resolve() / "src")
    environment = os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def run(arguments):
    """Compute one model's fields once, after a smaller unmeasured run."""
    torch.set_num_threads(1)
    (name,), (side, folder) = arguments.models, arguments.run
    model, facts, size_px = build(MODELS[name])
    defaults = (16, 16) if size_px == LARGE_PX else (32, 64)
    images, channels = arguments.images or defaults[0], arguments.channels or defaults[1]
    targets = targets_of(model, size_px, channels, *facts)
    shape = (images, 3, size_px, size_px)
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    few = [target_of_few(target) for target in targets]
    fields_by(side, model, few, pixels[:1])
    began = resource.getrusage(resource.RUSAGE_SELF)
    found = fields_by(side, model, targets, pixels)
    ended = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    np.save(f"{folder}/{side}.npy", found)
    what = f"{len(targets)} layers, {images} images, {channels} channels at most"
    print(json.dumps({"cpu_s": cpu_s, "peak_mb": ended.ru_maxrss / 1024, "what": what}))


def target_of_few(target):
    """The same target with its first two channels."""
    return type(target)(target.watched, target.centre, target.channels[:2])


def fields_by(side, model, targets, pixels):
    """Fields of all images, [targets, n, height, width], by the code that is on the path."""
    from sightlines.dumps import receptive_field, receptive_field_gradients

    if hasattr(receptive_field_gradients, "ChannelGradients") and side != "bare":
        gradients = receptive_field_gradients.ChannelGradients(model, targets).of
    elif side == "bare":
        gradients = lambda images: bare(model, targets, images)  # noqa: E731
    else:

        def gradients(images):
            older: Any = receptive_field_gradients
            return older.channel_gradients(model, targets, images)

    step = max(receptive_field.PIXELS_AT_ONCE // pixels.shape[-1] ** 2, 1)
    parts = [
        np.stack([field.numpy().copy() for field in gradients(pixels[start : start + step])])
        for start in range(0, len(pixels), step)
    ]
    return np.concatenate(parts, axis=1)


def bare(model, targets, images):
    """The forward pass, and one backward pass for each channel of each layer."""
    from sightlines.dumps.receptive_field_gradients import at_centre

    model.requires_grad_(False)
    pixels = images.clone().requires_grad_()
    kept = {}
    with capture(
        model,
        [target.watched.layer for target in targets],
        lambda index, value: kept.update({index: at_centre(value, targets[index])}),
    ):
        model(pixels)
    for index in range(len(targets)):
        total = torch.zeros_like(pixels)
        for channel in kept[index].sum(0):
            total += torch.autograd.grad(channel, pixels, retain_graph=True)[0].abs()
        yield total.mean(1) / kept[index].shape[1]


def build(config):
    """A network with random weights that leave no branch at zero, its facts, its images' side."""
    torch.manual_seed(1)
    if "timm" in config:
        import timm

        from sightlines.models import timm_blocks

        named = {key: value for key, value in config.items() if key != "timm"}
        model, size_px = timm.create_model(config["timm"], **named), LARGE_PX
        traits = timm_blocks.traits(model, size_px)
        facts = (timm_blocks.layers(model), traits.grid, traits.centres)
    else:
        from sightlines.models import building

        model, size_px = building.build(config, SMALL_PX, 10, seed=1), SMALL_PX
        facts = (building.layers_of(config["family"], model), SMALL_GRID, "start")
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.2 * torch.randn(parameter.shape)
    return model.eval(), facts, size_px


def targets_of(model, size_px, channels, layers, grid, centres):
    """What the dump differentiates in a network."""
    watched = watched_layers(layers, DEPTHS)
    shapes = {}

    def note(index, value):
        shapes[index] = tuple(value.shape[1:])

    with torch.inference_mode(), capture(model, [w.layer for w in watched], note):
        model(torch.zeros(2, 3, size_px, size_px))
    facts = (grid, size_px, channels, centres)
    return [target_of(w, shapes[index], *facts) for index, w in enumerate(watched)]


if __name__ == "__main__":
    main()
