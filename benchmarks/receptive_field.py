"""Dump of receptive fields against its limit: the bare backward passes, one a channel.

    python benchmarks/receptive_field.py

prints dump / limit of processor time; goal: at most 1.3. Passes of several channels as one batch
(torch's `is_grads_batched`) stand beside.
"""

import measuring
import torch

from sightlines.dumps.receptive_field_gradients import at_centre, channel_gradients
from sightlines.dumps.receptive_field_layers import target_of, watched_layers
from sightlines.models.building import layers_of
from sightlines.models.layers import capture
from sightlines.plan.registry import load

IMAGES, CHANNELS, DEPTHS, REPEATS = 32, 4, 3, 3
AT_ONCE = 4


def main():
    """Time both networks, the three ways in turns."""
    torch.set_num_threads(1)
    pixels = measuring.images(IMAGES)
    for config in (measuring.VIT, measuring.RESNET):
        model = measuring.build(config, seed=1)
        targets = targets_of(config, model, DEPTHS, CHANNELS)
        functions = {
            "dump": lambda m=model, t=targets: list(channel_gradients(m, t, pixels)),
            "bare": lambda m=model, t=targets: backward(m, t, pixels, one_by_one),
            "batched": lambda m=model, t=targets: backward(m, t, pixels, batched),
        }
        seconds = measuring.measure(functions, REPEATS)
        print(
            f"{config['family']}: {len(targets)} layers, {CHANNELS} channels, {IMAGES} images: "
            f"bare passes {seconds['bare']:.2f} s, dump {seconds['dump']:.2f} s: "
            f"dump / bare {seconds['dump'] / seconds['bare']:.2f}; "
            f"{AT_ONCE} channels a pass {seconds['batched'] / seconds['bare']:.2f}"
        )


def targets_of(config, model, depths, channels):
    """What the dump differentiates in a network."""
    watched = watched_layers(layers_of(config["family"], model), depths)
    shapes = {}

    def note(index, value):
        shapes[index] = tuple(value.shape[1:])

    with torch.inference_mode(), capture(model, [w.layer for w in watched], note):
        model(measuring.images(1))
    grid = load("models", config["family"]).check(config, measuring.SIZE_PX)
    facts = (grid, measuring.SIZE_PX, channels)
    return [target_of(w, shapes[index], *facts) for index, w in enumerate(watched)]


def backward(model, targets, images, passes):
    """The forward pass, and all backward passes of all layers; the gradients are thrown away."""
    model.requires_grad_(False)
    pixels = images.clone().requires_grad_()
    kept = {}

    def keep(index, value):
        kept[index] = at_centre(value, targets[index])

    with capture(model, [t.watched.layer for t in targets], keep):
        model(pixels)
    for index in range(len(targets)):
        passes(kept.pop(index), pixels)


def one_by_one(values, pixels):
    """One backward pass a channel."""
    for channel in range(values.shape[1]):
        torch.autograd.grad(values[:, channel].sum(), pixels, retain_graph=True)


def batched(values, pixels):
    """One backward pass for several channels."""
    count = values.shape[1]
    ones = torch.eye(count)[:, None, :].expand(count, *values.shape)
    for start in range(0, count, AT_ONCE):
        torch.autograd.grad(
            values, pixels, ones[start:][:AT_ONCE], retain_graph=True, is_grads_batched=True
        )


if __name__ == "__main__":
    main()
