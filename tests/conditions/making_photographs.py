"""Images with something of a photograph: soft light, edges, fine texture, dark and bright parts."""

import numpy as np


def photographs(side, count=6, seed=0):
    """uint8 [count, side, side, 3]: power falls with frequency, and objects have edges."""
    draws = np.random.Generator(np.random.Philox(seed))
    rows, columns = np.indices((side, side)) / side
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)) * side
    images = []
    for _ in range(count):
        waves = (
            np.fft.fft2(draws.standard_normal((3, side, side))) / np.maximum(frequency, 1) ** 1.2
        )
        texture = np.fft.ifft2(waves).real
        shared = texture[:1] + 0.4 * texture
        levels = 0.45 + 0.18 * shared / shared.std()
        for _ in range(3):
            middle, radius = draws.random(2), draws.uniform(0.1, 0.25)
            disc = np.hypot(rows - middle[0], columns - middle[1]) < radius
            levels = np.where(disc, 0.6 * levels + 0.4 * draws.random((3, 1, 1)), levels)
        images.append(np.clip(levels, 0, 1).transpose(1, 2, 0))
    return (np.stack(images) * 255).astype(np.uint8)
