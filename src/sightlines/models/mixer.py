"""MLP-Mixer (Tolstikhin et al. 2021), as timm builds it (Raghu et al. 2021, appendix H).

Tokens are mixed by an MLP across patches in the place of attention; there is no class token, and
the mean of the normed last tokens is classified.
"""

import functools
from typing import TYPE_CHECKING, Any

from sightlines.core.errors import ConfigError
from sightlines.models import vit
from sightlines.models.layers import Layer
from sightlines.models.lean import timm_module

if TYPE_CHECKING:
    from torch import nn

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
    "token_ratio": {
        "description": "Hidden features of the MLP across tokens, for every feature of a token.",
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.5,
    },
    "mlp_ratio": {
        "description": "Hidden features of the MLP within a token, for every feature of a token.",
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 4,
    },
    "drop_path": {
        "description": "Probability of skipping a branch for an image in training, in all blocks.",
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1,
        "default": 0,
    },
}
REQUIRED = ("patch_px", "width", "depth")


def check(settings: dict[str, Any], size_px: int) -> tuple[int, int]:
    """Rows and columns of the token grid.

    Raises:
        ConfigError: the patch does not divide the image or is all of it, or an MLP has no hidden
            feature.
    """
    grid = vit.check({**settings, "heads": 1}, size_px)
    if int(settings["width"] * settings["token_ratio"]) < 1:
        raise ConfigError(
            f"token_ratio {settings['token_ratio']} leaves the MLP across tokens without hidden "
            f"features: use at least {1 / settings['width']:.3g}"
        )
    return grid


def build(settings: dict[str, Any], size_px: int, classes: int) -> "nn.Module":
    """A Mixer with fresh weights, drawn from torch's global generator."""
    return timm_module("models.mlp_mixer").MlpMixer(  # type: ignore[no-any-return]
        num_classes=classes,
        img_size=size_px,
        patch_size=settings["patch_px"],
        num_blocks=settings["depth"],
        embed_dim=settings["width"],
        mlp_ratio=(settings["token_ratio"], settings["mlp_ratio"]),
        block_layer=block_class(),
        drop_path_rate=float(settings["drop_path"]),
    )


@functools.cache
def block_class() -> Any:
    """The class of the blocks, made when timm is there: planning an experiment does without it."""
    mlp_mixer = timm_module("models.mlp_mixer")

    class Block(mlp_mixer.MixerBlock):  # type: ignore[misc, name-defined]
        """timm's block, whose one module for dropping paths is two, as in its ViT.

        So each branch ends in a module of its own, where the value that is added to the tokens,
        [n, tokens, width], can be watched. Weights and their names are timm's.
        """

        def __init__(self, *args: Any, drop_path: float = 0.0, **kwargs: Any) -> None:
            super().__init__(*args, drop_path=drop_path, **kwargs)
            self.drop_path1 = self.drop_path
            self.drop_path2 = type(self.drop_path)(drop_path)
            del self.drop_path

        def forward(self, x: Any) -> Any:
            """Tokens [n, tokens, width] to tokens of the same shape."""
            mixed = self.mlp_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
            x = x + self.drop_path1(mixed)
            return x + self.drop_path2(self.mlp_channels(self.norm2(x)))

    return Block


def layers(model: "nn.Module") -> list[Layer]:
    """The 6·blocks + 2 sub-layers in the order in which they compute: a ViT's, without positions.

    `block03.mixing` is what the MLP across tokens adds, in the place of a ViT's `block03.attn`.
    """
    found = [Layer("embed.patch", "embed", -1, "stem")]
    for i in range(len(model.blocks)):  # type: ignore[arg-type]
        name, path = f"block{i:02d}", f"blocks.{i}"
        found += [
            Layer(f"{name}.norm1", "norm", i, f"{path}.norm1"),
            Layer(f"{name}.mixing", "mixing", i, f"{path}.drop_path1"),
            Layer(f"{name}.norm2", "norm", i, f"{path}.norm2"),
            Layer(f"{name}.mlp_hidden", "mlp_hidden", i, f"{path}.mlp_channels.fc1"),
            Layer(f"{name}.mlp", "mlp", i, f"{path}.drop_path2"),
            Layer(f"{name}.out", "residual", i, path),
        ]
    return [*found, Layer("norm", "norm", -1, "norm")]
