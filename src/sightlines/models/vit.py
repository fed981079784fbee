"""Vision Transformer (Dosovitskiy et al. 2021), as timm builds it.

With ``pool: cls`` a class token is read out after the final norm. With ``pool: gap`` there is no
class token, and the mean of the normed last-layer tokens goes straight to the logits (Raghu et
al. 2021, appendix A).
"""

import math
from typing import TYPE_CHECKING, Any

from sightlines.core.errors import ConfigError
from sightlines.models.layers import Layer
from sightlines.models.lean import timm_module
from sightlines.models.skipless import take_skips

if TYPE_CHECKING:
    from torch import nn

ATTENTION = True

SETTINGS = {
    "patch_px": {
        "description": "Side of a square patch; must divide the side of the images, and be less.",
        "unit": "px",
        "type": "integer",
        "minimum": 1,
    },
    "width": {
        "description": "Features of a token.",
        "unit": "features",
        "type": "integer",
        "minimum": 1,
    },
    "depth": {"description": "Blocks.", "unit": "blocks", "type": "integer", "minimum": 1},
    "heads": {
        "description": "Attention heads of a block; must divide the width.",
        "unit": "heads",
        "type": "integer",
        "minimum": 1,
    },
    "mlp_ratio": {
        "description": "Hidden features of an MLP for every feature of a token.",
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 4,
    },
    "pool": {
        "description": "What is classified: cls, a class token; gap, the mean of all tokens.",
        "enum": ["cls", "gap"],
        "default": "cls",
    },
    "drop_path": {
        "description": "Probability of skipping the last block's branches for an image in "
        "training; falls linearly to 0 at the first block.",
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1,
        "default": 0,
    },
    "dropout": {
        "description": "Probability of dropping a feature in training, after the position "
        "embedding and after every dense layer but that of queries, keys and values.",
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1,
        "default": 0,
    },
    "skipless_block": {
        "description": "Block that is built without skip connections (Figure 8), counted from 0; "
        "-1: none.",
        "type": "integer",
        "minimum": -1,
        "default": -1,
    },
    "skipless": {
        "description": "Which skips that block lacks.",
        "enum": ["both", "attn", "mlp"],
        "default": "both",
    },
    "qkv_bias": {
        "description": "Queries, keys and values have a bias.",
        "type": "boolean",
        "default": True,
    },
    "position_init": {
        "description": "What the position embeddings, which are learned, start from: random, or "
        "sincos, sines and cosines of row and column, with which a head finds the neighbouring "
        "patches soon.",
        "enum": ["random", "sincos"],
        "default": "random",
    },
    "position_scale": {
        "description": "Amplitude of these sines; patch embeddings start with a standard deviation "
        "of about 1.",
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 1,
    },
}
LONGEST_WAVE = 10
"""Of `sincos`: waves are 2π to 2π · 10 patches long, made for grids of some 8 × 8; the customary
10,000 (Vaswani et al. 2017) leaves most features of a small grid constant."""
REQUIRED = ("patch_px", "width", "depth", "heads")


def check(settings: dict[str, Any], size_px: int) -> tuple[int, int]:
    """Rows and columns of the token grid.

    Raises:
        ConfigError: the patch does not divide the image or is all of it, the heads do not divide
            the width, the MLP has no hidden feature, there is no block `skipless_block`, or the
            width has no equal share for sines and cosines of rows and columns.
    """
    patch_px, width, heads = settings["patch_px"], settings["width"], settings["heads"]
    near = _nearest(patch_px, _divisors(size_px)[:-1] or [1])
    if size_px == patch_px:
        raise ConfigError(
            f"patch_px {patch_px} makes a single patch of an image of {size_px} px, but attention "
            f"and localisation are between patches: use a smaller patch_px, at most {near}"
        )
    if size_px % patch_px:
        raise ConfigError(
            f"patch_px {patch_px} does not divide the images of {size_px} px: nearest that does "
            f"is {near} px (or change the image size)"
        )
    if width % heads:
        near_heads = _nearest(heads, _divisors(width))
        near_width = max(round(width / heads), 1) * heads
        raise ConfigError(
            f"heads {heads} does not divide width {width}: nearest is heads {near_heads}, "
            f"or width {near_width}"
        )
    if int(width * settings["mlp_ratio"]) < 1:
        raise ConfigError(
            f"mlp_ratio {settings['mlp_ratio']} leaves an MLP of width {width} without hidden "
            f"features: use at least {1 / width:.3g}"
        )
    if settings.get("skipless_block", -1) >= settings["depth"]:
        raise ConfigError(
            f"skipless_block {settings['skipless_block']}: with depth {settings['depth']} the "
            f"blocks are 0 to {settings['depth'] - 1}"
        )
    if settings.get("position_init") == "sincos" and width % 4:
        raise ConfigError(
            f"position_init sincos needs a width that 4 divides, for sine and cosine of row and "
            f"column, but width is {width}: nearest is {4 * max(round(width / 4), 1)}"
        )
    return size_px // patch_px, size_px // patch_px


def build(settings: dict[str, Any], size_px: int, classes: int) -> "nn.Module":
    """A ViT with fresh weights, drawn from torch's global generator.

    They are scaled by the layers' widths, as in the Flax code of the paper's networks; timm's own
    initialisation (standard deviation .02) is made for wide layers, and thin ViTs hardly leave it.
    """
    vision_transformer = timm_module("models.vision_transformer")
    is_gap = settings["pool"] == "gap"
    model = vision_transformer.VisionTransformer(
        img_size=size_px,
        patch_size=settings["patch_px"],
        num_classes=classes,
        embed_dim=settings["width"],
        depth=settings["depth"],
        num_heads=settings["heads"],
        mlp_ratio=settings["mlp_ratio"],
        qkv_bias=settings["qkv_bias"],
        class_token=not is_gap,
        global_pool="avg" if is_gap else "token",
        fc_norm=False,
        weight_init="jax",
        pos_drop_rate=settings["dropout"],
        proj_drop_rate=settings["dropout"],
        drop_path_rate=settings["drop_path"],
    )
    if settings.get("position_init") == "sincos":
        _start_from_waves(model, float(settings["position_scale"]))
    if settings.get("skipless_block", -1) >= 0:
        take_skips(model, settings["skipless_block"], settings["skipless"])
    return model  # type: ignore[no-any-return]


def _start_from_waves(model: "nn.Module", scale: float) -> None:
    """Overwrite the position embeddings; the class token's starts at 0."""
    import torch

    rows, columns = model.patch_embed.grid_size  # type: ignore[union-attr, misc]
    waves = torch.tensor(waves_2d(rows, columns, model.embed_dim))  # type: ignore[arg-type]
    embedding: Any = model.pos_embed
    with torch.no_grad():
        embedding.zero_()
        embedding[0, embedding.shape[1] - len(waves) :] = scale * waves


def waves_2d(rows: int, columns: int, width: int) -> list[list[float]]:
    """Sines and cosines of rows, then of columns [rows · columns, width].

    Frequencies fall geometrically from 1 to 1 / `LONGEST_WAVE` radians a patch. Computed one by
    one, in double precision: vectorised sines differ in their last bit between processors.
    """
    count = width // 4
    frequencies = [LONGEST_WAVE ** (-k / count) for k in range(count)]

    def along(place: int) -> list[float]:
        turned = [f * place for f in frequencies]
        return [*map(math.sin, turned), *map(math.cos, turned)]

    return [along(row) + along(column) for row in range(rows) for column in range(columns)]


def layers(model: "nn.Module") -> list[Layer]:
    """The 6·blocks + 3 sub-layers in the order in which they compute."""
    found = [Layer("embed.patch", "embed", -1, "patch_embed")]
    found.append(Layer("embed.pos", "embed", -1, "pos_drop"))
    for i in range(len(model.blocks)):  # type: ignore[arg-type]
        name, path = f"block{i:02d}", f"blocks.{i}"
        found += [
            Layer(f"{name}.norm1", "norm", i, f"{path}.norm1"),
            Layer(f"{name}.attn", "attn", i, f"{path}.attn"),
            Layer(f"{name}.norm2", "norm", i, f"{path}.norm2"),
            Layer(f"{name}.mlp_hidden", "mlp_hidden", i, f"{path}.mlp.fc1"),
            Layer(f"{name}.mlp", "mlp", i, f"{path}.mlp"),
            Layer(f"{name}.out", "residual", i, path),
        ]
    return [*found, Layer("norm", "norm", -1, "norm")]


def _divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def _nearest(wanted: int, allowed: list[int]) -> int:
    """The allowed value closest to the wanted one; the smaller of two equally close."""
    return min(allowed, key=lambda value: abs(value - wanted))
