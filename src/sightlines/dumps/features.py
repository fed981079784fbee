"""Pooled features of labelled images after every block: what linear probes are fitted to.

Source: Raghu et al. 2021, section 6 and Figure 13. One file a network; for every block output and
a final norm `mean.<layer>` [images, D], the mean over patches or positions, for tokens also
`first.<layer>`, the first patch, and where there is one `cls.<layer>`, the class token; float32.
A ResNet's maps are pooled to its last map's size first (`dumps/pooling.py`). `labels` and `subset`
(0 train, 1 held-out, 2 test) are int64 [images], the images of a subset in the order of the probes
file. The mean of all tokens, CLS too, follows from
`cls`, `mean` and the number of patches.
"""

import numpy as np

from sightlines.core.files import TensorShapes
from sightlines.dumps.labelled import describe_labelled, labelled, last_shape, probe_walks
from sightlines.dumps.network import Shown
from sightlines.dumps.passes import Watched
from sightlines.dumps.pooling import Shape, pool, width_of
from sightlines.models.attention import has_class_token, prefix_tokens
from sightlines.models.layers import Layer, block_outputs

KIND = "features"
READER = "sightlines.dumps.features_reading:LabelledDump"
NETWORKS = "plain"
TRANSFER = ("shown",)
SPLITS = "probes"
PASS = "labelled"


def record(shown: Shown) -> Watched:
    """Pooled features of the labelled images, of all blocks."""
    layers = block_outputs(shown.layers)
    prefix, has_cls = prefix_tokens(shown.model), has_class_token(shown.model)
    walks = probe_walks(shown)
    meta = describe_labelled(shown, walks, layers) | {
        "patches": int(np.prod(shown.card["grid"])),
    }
    sizes = shown.layer_shapes(layers)
    last = last_shape(layers, sizes)
    kept = feature_shapes(layers, sizes, has_cls, meta["images"])
    return labelled(shown, layers, walks, kept, meta, lambda x: pool(x, prefix, last, has_cls))


def feature_shapes(
    layers: list[Layer], sizes: list[Shape], has_cls: bool, images: int
) -> TensorShapes:
    """The file's features, in order.

    Args:
        layers: Those that are kept.
        sizes: Shape of each one's representation of one image.
        has_cls: Whether there is a class token.
        images: How many there are.
    """
    last = last_shape(layers, sizes)
    pools = ("cls", "mean", "first") if has_cls else ("mean", "first")
    return {
        f"{each}.{layer.name}": ("F32", (images, width_of(size, last)))
        for layer, size in zip(layers, sizes, strict=True)
        for each in (pools if len(size) == 2 else ("mean",))
    }
