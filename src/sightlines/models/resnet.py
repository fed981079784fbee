"""The ResNet that Raghu et al. 2021 compare with: BiT's changes in a post-activation bottleneck.

Every unit computes conv, norm, ReLU, conv, norm, ReLU, conv, norm, adds the shortcut, then ReLU
(vit_jax/models_resnet.py of google-research/vision_transformer); GroupNorm instead of BatchNorm;
weights standardised; the last norm of every unit starts at zero. Built from timm's `ResNetV2`
with ``preact=False``.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from sightlines.core.errors import ConfigError
from sightlines.models.layers import Layer
from sightlines.models.lean import timm_module

if TYPE_CHECKING:
    from torch import nn

SETTINGS = {
    "units": {
        "description": "Residual units of each stage; every stage after the first halves the map.",
        "unit": "units",
        "type": "array",
        "minItems": 1,
        "items": {"type": "integer", "minimum": 1},
    },
    "channels": {
        "description": "Output channels of each stage; multiples of 32.",
        "unit": "channels",
        "type": "array",
        "minItems": 1,
        "items": {"type": "integer", "minimum": 32},
    },
    "stem": {
        "description": "First layers. small: 3x3 convolution; medium: the same with stride 2; "
        "large, the paper's: 7x7 convolution with stride 2, then max-pooling with stride 2.",
        "enum": ["small", "medium", "large"],
        "default": "small",
    },
    "stem_channels": {
        "description": "Output channels of the stem; a multiple of 8.",
        "unit": "channels",
        "type": "integer",
        "minimum": 8,
        "default": 64,
    },
    "groups": {
        "description": "Groups of every GroupNorm; must divide the stem's channels and a quarter "
        "of every stage's. The paper's networks: 32.",
        "unit": "groups",
        "type": "integer",
        "minimum": 1,
        "default": 8,
    },
    "drop_path": {
        "description": "Probability of skipping the last unit's branch for an image in training; "
        "falls linearly to 0 at the first unit.",
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1,
        "default": 0,
    },
}
REQUIRED = ("units", "channels")

STEM_STRIDES = {"small": (), "medium": (2,), "large": (2, 2)}
BOTTLENECK = 4


def check(settings: dict[str, Any], size_px: int) -> tuple[int, int]:
    """Rows and columns of the last map.

    Raises:
        ConfigError: units and channels differ in length, channels are not what GroupNorm and the
            bottleneck need, or the map is down to one pixel before the last stage.
    """
    _check_channels(settings)
    side = size_px
    strides = [*STEM_STRIDES[settings["stem"]], *[2] * (len(settings["units"]) - 1)]
    for stride in strides:
        if side < 2:
            raise ConfigError(
                f"images of {size_px} px are too small for stem {settings['stem']} and "
                f"{len(settings['units'])} stages, which halve them {len(strides)} times: use a "
                "smaller stem, fewer stages, or larger images"
            )
        side = -(-side // stride)
    return side, side


def _check_channels(settings: dict[str, Any]) -> None:
    units, channels, groups = settings["units"], settings["channels"], settings["groups"]
    if len(units) != len(channels):
        raise ConfigError(
            f"units {units} are {len(units)} stages, but channels {channels} are "
            f"{len(channels)}: give one number of channels for every stage"
        )
    for count in channels:
        if count % 32:
            near = max(round(count / 32), 1) * 32
            raise ConfigError(f"channels {count} is not a multiple of 32: nearest is {near}")
    stem_channels = settings["stem_channels"]
    if stem_channels % 8:
        near = max(round(stem_channels / 8), 1) * 8
        raise ConfigError(
            f"stem_channels {stem_channels} is not a multiple of 8: nearest is {near}"
        )
    normed = {stem_channels, *(count // BOTTLENECK for count in channels)}
    for count in sorted(normed):
        if count % groups:
            fitting = [g for g in range(1, min(normed) + 1) if not any(n % g for n in normed)]
            near = min(fitting, key=lambda g: abs(g - groups))
            raise ConfigError(
                f"groups {groups} does not divide {count} channels (the stem's, or a stage's "
                f"divided by {BOTTLENECK}): nearest that divides {sorted(normed)} is {near}"
            )


def build(settings: dict[str, Any], size_px: int, classes: int) -> "nn.Module":
    """A ResNet with fresh weights, drawn from torch's global generator."""
    del size_px
    resnetv2 = timm_module("models.resnetv2")
    model = resnetv2.ResNetV2(
        layers=settings["units"],
        channels=settings["channels"],
        num_classes=classes,
        preact=False,
        stem_chs=settings["stem_channels"],
        norm_layer=partial(resnetv2.GroupNormAct, num_groups=settings["groups"]),
        conv_layer=resnetv2.StdConv2d,
        drop_path_rate=settings["drop_path"],
        zero_init_last=True,
    )
    if settings["stem"] != "large":
        _shrink_stem(model, stride=2 if settings["stem"] == "medium" else 1)
    return model  # type: ignore[no-any-return]


def _shrink_stem(model: "nn.Module", stride: int) -> None:
    """Put a 3x3 convolution in the place of the 7x7 one, and nothing in that of the pooling."""
    from torch import nn

    resnetv2 = timm_module("models.resnetv2")
    stem: Any = model.stem
    stem.conv = resnetv2.StdConv2d(3, stem.conv.out_channels, kernel_size=3, stride=stride)
    nn.init.kaiming_normal_(stem.conv.weight, mode="fan_out", nonlinearity="relu")
    stem.pool = nn.Identity()


def layers(model: "nn.Module") -> list[Layer]:
    """The 7·units + 2·stages + 2 sub-layers in the order in which they compute.

    timm's GroupNorm applies the ReLU as well: norms are watched inside it, before the ReLU, as
    in the paper, whose norm layers are modules of their own. A unit's projected shortcut is
    computed before its branch.
    """
    found = [
        Layer("stem.conv", "conv", -1, "stem.conv"),
        Layer("stem.norm", "norm", -1, "stem.norm.drop"),
    ]
    units = (
        (f"stages.{s}.blocks.{b}", unit)
        for s, stage in enumerate(model.stages)  # type: ignore[arg-type]
        for b, unit in enumerate(stage.blocks)
    )
    for i, (path, unit) in enumerate(units):
        name = f"block{i:02d}"
        if unit.downsample is not None:
            found.append(Layer(f"{name}.proj_conv", "conv", i, f"{path}.downsample.conv"))
            found.append(Layer(f"{name}.proj_norm", "norm", i, f"{path}.downsample.norm"))
        for j in (1, 2, 3):
            found.append(Layer(f"{name}.conv{j}", "conv", i, f"{path}.conv{j}"))
            found.append(Layer(f"{name}.norm{j}", "norm", i, f"{path}.norm{j}.drop"))
        found.append(Layer(f"{name}.out", "residual", i, path))
    return found
