"""Tiny networks of every registered family, with settings that reach every branch."""

from typing import Any

VIT = {
    "family": "vit",
    "patch_px": 4,
    "width": 24,
    "depth": 3,
    "heads": 3,
    "mlp_ratio": 2,
    "pool": "cls",
    "drop_path": 0,
    "dropout": 0,
    "qkv_bias": True,
}
RESNET = {
    "family": "resnet",
    "units": [2, 1, 1],
    "channels": [32, 64, 96],
    "stem": "small",
    "stem_channels": 16,
    "groups": 4,
    "drop_path": 0,
}
FNET = {
    "family": "fnet",
    "patch_px": 4,
    "width": 24,
    "depth": 3,
    "mixing": "fourier",
    "axes": "raster",
    "norm": "pre",
    "pool": "gap",
    "attention_blocks": [],
    "heads": 1,
    "mlp_ratio": 2,
    "drop_path": 0,
    "position_init": "random",
    "position_scale": 1,
}
NETS: dict[str, dict[str, Any]] = {
    "vit": VIT,
    "vit_gap": VIT | {"pool": "gap", "qkv_bias": False},
    "resnet": RESNET,
    "resnet_medium": RESNET | {"stem": "medium"},
    "resnet_large": RESNET | {"stem": "large"},
}
SIZE_PX, CLASSES, IMAGES = 20, 7, 5
