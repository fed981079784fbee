"""Slow float64 twin of receptive fields: one image, one channel, one pixel at a time."""

import math

import numpy as np


def mean_map(model, module, location, channels, images, before=False):
    """Mean over images and channels of the absolute gradient, mean over the colours.

    Args:
        model: In evaluation mode, float64.
        module: Watched: its output, or what enters it where `before`.
        location: Index of a token, or row and column of a map.
        channels: Differentiated one by one.
        images: [n, 3, height, width] float64.
        before: The value is the module's input.
    """
    total = np.zeros(images.shape[2:])
    for image in images:
        for channel in channels:
            pixels = image[None].clone().requires_grad_(True)
            kept = []
            if before:
                handle = module.register_forward_pre_hook(lambda m, a, k=kept: k.append(a[0] * 1))
            else:
                handle = module.register_forward_hook(lambda m, a, o, k=kept: k.append(o * 1))
            model(pixels)
            handle.remove()
            value = kept[0][0]
            one = value[channel][location] if value.dim() == 3 else value[location, channel]
            one.backward()
            total += pixels.grad[0].abs().mean(0).numpy()
    return total / len(images) / len(channels)


def sizes(gradient, y_px, x_px, top_px, left_px, patch_px):
    """Side, share on a square patch, and radius of half the sum, by loops over pixels."""
    height, width = gradient.shape
    above, on_patch, total, found = 0, 0.0, 0.0, []
    for y in range(height):
        for x in range(width):
            value = float(gradient[y, x])
            above += value > 0.0455 * float(gradient.max())
            covered_y = max(0.0, min(y + 1, top_px + patch_px) - max(y, top_px))
            covered_x = max(0.0, min(x + 1, left_px + patch_px) - max(x, left_px))
            on_patch += value * covered_y * covered_x
            total += value
            found.append((math.hypot(y + 0.5 - y_px, x + 0.5 - x_px), value))
    inside, radius = 0.0, math.nan
    for distance, value in sorted(found):
        inside += value
        radius = distance
        if inside >= total / 2:
            break
    return math.sqrt(above), on_patch / total, radius
