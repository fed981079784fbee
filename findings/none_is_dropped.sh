#!/usr/bin/env bash
# Expected: create_model(name, init_values=None) builds the network without layer scale, as VisionTransformer(init_values=None) does.
# Happens: create_model drops arguments that are None without a word; the scale of the model's own definition stays (1e-6 in DeiT-III).
# With: timm 1.0.31, torch 2.13.0. And 0 says two things: no layer scale in a ViT, a scale of 0 in CaiT, whose branches then add nothing.
# To do: to take layer scale away, call the model's class; to switch it on for a control, give 1.0 and measure the branches.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check timm==1.0.31 torch==2.13.0 torchvision==0.28.0
"$place/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import timm
import torch
from timm.models.vision_transformer import VisionTransformer

warnings.simplefilter("error")
print(f"timm {timm.__version__}, torch {torch.__version__}")
deit3 = "deit3_small_patch16_224"


def scales(model):
    named = ((name, p) for name, p in model.named_parameters() if "gamma" in name)
    return sorted({f"{float(p.detach()[0]):.0e}" for _, p in named})


own = scales(timm.create_model(deit3, depth=1))
none = scales(timm.create_model(deit3, depth=1, init_values=None))
by_class = scales(VisionTransformer(embed_dim=384, depth=1, num_heads=6, init_values=None))
zero = scales(timm.create_model(deit3, depth=1, init_values=0))
cait = scales(timm.create_model("cait_xxs24_224", depth=1, init_values=0))
print("DeiT-III as it is:          ", own)
print("  with init_values=None:    ", none)
print("  class, init_values=None:  ", by_class)
print("  with init_values=0:       ", zero)
print("CaiT with init_values=0:    ", cait)
if none == own and own and not by_class and not zero and cait == ["0e+00"]:
    print("As described: None changes nothing and is not refused; 0 is off in one and all zero in the other.")
    sys.exit(0)
print("timm does otherwise now.")
sys.exit(1)
PYTHON
