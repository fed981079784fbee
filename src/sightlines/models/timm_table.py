"""What is known of timm's blocks and models (timm 1.0.31): a table, matched by names of classes.

A block's parts stand in the order in which they compute. Paths are those of modules below the
block or model; a step ``-1`` is the last child, ``a|b`` is the first of two that is there, and the
empty path is the block itself. A norm that applies the activation too is watched inside, before it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One sub-layer of a block or model.

    Attributes:
        name: Last part of the layer's name.
        kind: As in `layers.KINDS`. Norms and convolutions that are nn.Identity are left out.
        path: Module that is watched.
        layout: As in `layers.Layer`.
        needs: Attribute that must be there, and not None or False, for the part to exist.
    """

    name: str
    kind: str
    path: str
    layout: str = ""
    needs: str = ""


@dataclass(frozen=True)
class Addition:
    """Where a block adds a branch to a skip connection.

    Attributes:
        name: As in `skips_branches.Branch`.
        long: Module whose output is the branch.
        skip: Module at which the skip's value is found; where it is not there, the block's input.
        when: Whether that is the module's ``output`` or its ``input``.
        layout: Of both values.
        needs: As in `Part`.
    """

    name: str
    long: str
    skip: str = ""
    when: str = "input"
    layout: str = ""
    needs: str = ""


@dataclass(frozen=True)
class Block:
    """A class of blocks: its parts, and its branches in the order in which they are added."""

    parts: tuple[Part, ...]
    additions: tuple[Addition, ...]


@dataclass(frozen=True)
class Family:
    """A class of models.

    Attributes:
        role: What it stands for in the paper's comparisons: ``vit``, ``resnet``, ``mixer``,
            ``other``.
        blocks: Regular expression of its blocks' paths.
        stem: Before all blocks.
        tail: After them.
        stages: Regular expression of the paths of what lies before a stage's blocks; its group is
            the stage's index.
        entry: Parts of such a module.
        has_tokens: Whether blocks hand on tokens [n, tokens, width] rather than maps.
        has_cells: Whether locations are cells that tile the image.
    """

    role: str
    blocks: str
    stem: tuple[Part, ...]
    tail: tuple[Part, ...] = ()
    stages: str = "-"
    entry: tuple[Part, ...] = ()
    has_tokens: bool = False
    has_cells: bool = False


_OUT = Part("out", "residual", "")


def _parts(text: str) -> tuple[Part, ...]:
    """Parts out of words: ``conv1`` or ``conv1=path`` or ``conv1=path?needs``; kinds by name."""
    found = []
    for word in text.split():
        word, _, needs = word.partition("?")
        name, _, path = word.partition("=")
        kind = "norm" if "norm" in name else "conv"
        found.append(Part(name, kind, path or name, needs=needs))
    return tuple(found)


def _projecting_unit(text: str, long: str) -> Block:
    """A unit of a ResNet: where it has a projection of its input, this is the skip."""
    return Block((*_parts(text), _OUT), (Addition("unit", long, "downsample", "output"),))


def _mobile_unit(text: str) -> Block:
    """A block of a MobileNet or EfficientNet, which need not have a skip connection."""
    return Block((*_parts(text), _OUT), (Addition("unit", "drop_path", needs="has_skip"),))


_TOKEN_BLOCK = Block(
    (
        Part("norm1", "norm", "norm1"),
        Part("attn", "attn", "attn"),
        Part("norm2", "norm", "norm2"),
        Part("mlp_hidden", "mlp_hidden", "mlp.fc1|mlp.fc1_g"),
        Part("mlp", "mlp", "mlp"),
        _OUT,
    ),
    (Addition("attn", "drop_path1"), Addition("mlp", "drop_path2", "norm2")),
)
_MIXER_BLOCK = Block(
    (
        Part("norm1", "norm", "norm1"),
        Part("mixing", "mixing", "drop_path1"),
        Part("norm2", "norm", "norm2"),
        Part("mlp_hidden", "mlp_hidden", "mlp_channels.fc1"),
        Part("mlp", "mlp", "drop_path2"),
        _OUT,
    ),
    (Addition("mixing", "drop_path1"), Addition("mlp", "drop_path2", "norm2")),
)
_MIX_ADDITION = Addition("mixing", "drop_path1")
_FNET_BLOCK = Block((_OUT,), (_MIX_ADDITION, Addition("mlp", "drop_path2", "norm2")))
"""Ours: `models/fnet.py` names its layers itself."""
_POST_NORM_BLOCK = Block((_OUT,), (_MIX_ADDITION, Addition("mlp", "drop_path2", "norm1", "output")))
_SWIN_BLOCK = Block(
    (
        Part("norm1", "norm", "norm1", "nhwc"),
        Part("attn", "attn", "drop_path1", "nhwc"),  # its own module sees windows
        Part("norm2", "norm", "norm2", "flat"),
        Part("mlp_hidden", "mlp_hidden", "mlp.fc1", "flat"),
        Part("mlp", "mlp", "mlp", "flat"),
        Part("out", "residual", "", "nhwc"),
    ),
    (
        Addition("attn", "drop_path1", layout="nhwc"),
        Addition("mlp", "drop_path2", "norm2", layout="flat"),
    ),
)
_CONVNEXT_BLOCK = Block(
    (
        Part("conv", "conv", "conv_dw"),
        Part("norm", "norm", "norm", "nhwc"),
        Part("mlp_hidden", "mlp_hidden", "mlp.fc1", "nhwc"),
        Part("mlp", "mlp", "mlp", "nhwc"),
        _OUT,
    ),
    (Addition("unit", "drop_path", "shortcut", "output"),),
)
_PROJECTION = "proj_conv=downsample.conv?downsample proj_norm=downsample.norm?downsample "
_LATE_PROJECTION = " proj_conv=downsample.-2?downsample proj_norm=downsample.-1?downsample"
_SPACE_TO_DEPTH = "conv0=conv_s2d?conv_s2d norm0=bn_s2d?conv_s2d "
_DEEP_STEM = [f"stem.{part}{i}" for i in ("", 1, 2, 3) for part in ("conv", "norm")]

BLOCKS: dict[str, Block] = {
    "timm.models.vision_transformer.Block": _TOKEN_BLOCK,
    "timm.models.vision_transformer_relpos.RelPosBlock": _TOKEN_BLOCK,
    "timm.models.mlp_mixer.MixerBlock": _MIXER_BLOCK,
    "sightlines.models.fnet.PreNorm": _FNET_BLOCK,
    "sightlines.models.fnet.PostNorm": _POST_NORM_BLOCK,
    "timm.models.swin_transformer.SwinTransformerBlock": _SWIN_BLOCK,
    "timm.models.convnext.ConvNeXtBlock": _CONVNEXT_BLOCK,
    "timm.models.resnet.BasicBlock": _projecting_unit(
        "conv1 norm1=bn1 conv2 norm2=bn2" + _LATE_PROJECTION, "drop_path|se|bn2"
    ),
    "timm.models.resnet.Bottleneck": _projecting_unit(
        "conv1 norm1=bn1 conv2 norm2=bn2 conv3 norm3=bn3" + _LATE_PROJECTION, "drop_path|se|bn3"
    ),
    "timm.models.resnetv2.Bottleneck": _projecting_unit(
        _PROJECTION + "conv1 norm1 conv2 norm2 conv3 norm3", "drop_path"
    ),
    "timm.models.resnetv2.PreActBottleneck": _projecting_unit(
        "norm1 " + _PROJECTION + "conv1 norm2 conv2 norm3 conv3", "drop_path"
    ),
    "timm.models.resnetv2.PreActBasic": _projecting_unit(
        "norm1 " + _PROJECTION + "conv1 norm2 conv2", "drop_path"
    ),
    "timm.models._efficientnet_blocks.InvertedResidual": _mobile_unit(
        _SPACE_TO_DEPTH + "conv1=conv_pw norm1=bn1 conv2=conv_dw norm2=bn2 conv3=conv_pwl norm3=bn3"
    ),
    "timm.models._efficientnet_blocks.DepthwiseSeparableConv": _mobile_unit(
        _SPACE_TO_DEPTH + "conv1=conv_dw norm1=bn1 conv2=conv_pw norm2=bn2"
    ),
    "timm.models._efficientnet_blocks.EdgeResidual": _mobile_unit(
        "conv1=conv_exp norm1=bn1 conv2=conv_pwl norm2=bn2"
    ),
    "timm.models._efficientnet_blocks.ConvBnAct": _mobile_unit("conv1=conv norm1=bn1"),
}

_PATCHES = Part("embed.patch", "embed", "patch_embed")
_NORM = Part("norm", "norm", "norm")

FAMILIES: dict[str, Family] = {
    "timm.models.vision_transformer.VisionTransformer": Family(
        role="vit",
        blocks=r"blocks\.\d+",
        stem=(
            _PATCHES,
            Part("embed.pos", "embed", "pos_drop", needs="pos_embed"),
            Part("embed.norm", "norm", "norm_pre"),
        ),
        tail=(_NORM,),
        has_tokens=True,
        has_cells=True,
    ),
    "timm.models.vision_transformer_relpos.VisionTransformerRelPos": Family(
        role="vit",
        blocks=r"blocks\.\d+",
        stem=(_PATCHES,),
        tail=(_NORM,),
        has_tokens=True,
        has_cells=True,
    ),
    "timm.models.mlp_mixer.MlpMixer": Family(
        role="mixer",
        blocks=r"blocks\.\d+",
        stem=(Part("embed.patch", "embed", "stem"),),
        tail=(_NORM,),
        has_tokens=True,
        has_cells=True,
    ),
    "timm.models.swin_transformer.SwinTransformer": Family(
        role="other",
        blocks=r"layers\.\d+\.blocks\.\d+",
        stem=(_PATCHES,),
        tail=(Part("norm", "norm", "norm", "nhwc"),),
        stages=r"layers\.(\d+)\.downsample",
        entry=(Part("norm", "norm", "norm", "nhwc"), Part("merge", "embed", "reduction", "nhwc")),
        has_cells=True,
    ),
    "timm.models.convnext.ConvNeXt": Family(
        role="resnet",
        blocks=r"stages\.\d+\.blocks\.\d+",
        stem=_parts("stem.conv=stem.-2 stem.norm=stem.-1"),
        tail=_parts("norm=norm_pre"),
        stages=r"stages\.(\d+)\.downsample",
        entry=_parts("norm=-2 conv=-1"),
        has_cells=True,
    ),
    "timm.models.resnet.ResNet": Family(
        role="resnet",
        blocks=r"layer\d+\.\d+",
        stem=_parts("stem.conv=conv1 stem.norm=bn1"),
    ),
    "timm.models.resnetv2.ResNetV2": Family(
        role="resnet",
        blocks=r"stages\.\d+\.blocks\.\d+",
        stem=_parts(" ".join(f"{p}?{p}" for p in _DEEP_STEM)),
        tail=(_NORM,),
    ),
    "timm.models.efficientnet.EfficientNet": Family(
        role="resnet",
        blocks=r"blocks\.\d+\.\d+",
        stem=_parts("stem.conv=conv_stem stem.norm=bn1"),
        tail=_parts("head.conv=conv_head head.norm=bn2"),
    ),
    "timm.models.mobilenetv3.MobileNetV3": Family(
        role="resnet",
        blocks=r"blocks\.\d+\.\d+",
        stem=_parts("stem.conv=conv_stem stem.norm=bn1"),
    ),
}
