"""Gram matrices of every layer over the reference images: all that similarity needs.

Source: design of the minibatch estimator in Raghu et al. 2021, appendix A, and Nguyen et al. 2021.
One file a network; per minibatch of n images a tensor `gram.<minibatch>` [layers, n(n+1)/2], the
upper triangle with its diagonal of X_c X_cᵀ, float32.
"""

import numpy as np
import torch

from sightlines.dumps.gram_product import packed_gram
from sightlines.dumps.network import Shown
from sightlines.errors import ResultError
from sightlines.files import TensorShapes, TensorWriter, require_free_space, safetensors_bytes
from sightlines.models.layers import capture
from sightlines.stage import Job, Progress, run

KIND = "gram"
SPLITS = "reference"
"""File of `data/` that says which images are shown."""


def main(job: Job) -> None:
    """Stream the reference minibatches through the network and keep its layers' Grams."""
    shown = Shown.open(job, SPLITS)
    minibatches = shown.reference_minibatches()
    meta = shown.describe() | {"layers": shown.describe_layers()}
    path = job.output("dump")
    shapes = gram_shapes(meta["batch_sizes"], len(shown.layers))
    size = safetensors_bytes(shapes, meta)
    require_free_space(path.parent, size, f"the Gram dump {path}")
    job.log.info(f"{len(shown.layers)} layers, {len(minibatches)} minibatches, {size / 1e6:.1f} MB")
    progress = Progress(job.log, len(minibatches), "minibatches")
    with TensorWriter(path, shapes, meta) as writer:
        pixels = shown.pixels("test", minibatches)
        for done, (name, images) in enumerate(zip(shapes, pixels, strict=True), 1):
            writer.write(name, minibatch_grams(shown, images))
            progress.update(done)


def gram_shapes(batch_sizes: list[int], layers: int) -> TensorShapes:
    """The file's tensors, in order."""
    return {
        f"gram.{index:03d}": ("F32", (layers, images * (images + 1) // 2))
        for index, images in enumerate(batch_sizes)
    }


def minibatch_grams(shown: Shown, images: torch.Tensor) -> np.ndarray:
    """Packed Grams of all layers for one minibatch, formed while the network runs.

    Each is formed inside its layer's hook, so no two layers' activations are held at once and no
    later in-place operation reaches them.

    Args:
        shown: The network.
        images: Normalised pixels [n, 3, height, width].

    Returns:
        [layers, n(n+1)/2] float32.

    Raises:
        ResultError: a layer's activations are not finite, or so large that their Gram is not.
    """
    count = len(images)
    grams = np.empty((len(shown.layers), count * (count + 1) // 2), np.float32)

    def keep(index: int, activations: torch.Tensor) -> None:
        packed = packed_gram(activations).cpu().numpy()
        if not np.isfinite(packed).all():
            raise ResultError(
                f"layer {shown.layers[index].name} of {shown.network.slug} has activations that "
                "are not finite, or too large for a float32 Gram: its training has diverged; "
                "lower train.learning_rate, or lengthen train.warmup_steps"
            )
        grams[index] = packed

    with torch.inference_mode(), capture(shown.model, shown.layers, keep):
        shown.model(images)
    return grams


if __name__ == "__main__":
    run(main)
