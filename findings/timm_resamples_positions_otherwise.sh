#!/usr/bin/env bash
# Expected: weights of MAE, DeiT or DINO at another size of images see in timm the position embedding that their authors' code gives them.
# Happens: timm's loading resamples it with antialiasing, which also has another bicubic kernel (a = -0.5 for -0.75), so that it differs when the grid grows, too: MAE's own embedding by 3 % of its norm from 14 × 14 to 7 × 7 and by 1 % to 24 × 24; a trained one by more (ViT-Ti/16: 15 % and 3 %; one of DINOv2's form from 37 × 37 to 16 × 16: 22 %).
# Versions: timm 1.0.31 with torch 2.13.0.
# What to do: checkpoint_filter_fn(state_dict, model, antialias=False) for MAE and DeiT; DINO's and DINOv2's code (without registers) besides scales by (n + 0.1) / n_old. Here: the model's key position_resampling.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet --disable-pip-version-check torch===2.13.0 torchvision===0.28.0 timm==1.0.31 numpy==2.3.5

cat > "$here/compare.py" <<'PY'
import sys

import numpy as np
import timm
import torch
from timm.models.vision_transformer import checkpoint_filter_fn
from torch.nn import functional


def waves(width, place):
    """MAE's get_1d_sincos_pos_embed_from_grid."""
    omega = 1 / 10000 ** (np.arange(width // 2) / (width / 2))
    out = np.outer(place.reshape(-1), omega)
    return np.concatenate([np.sin(out), np.cos(out)], axis=1)


columns, rows = np.meshgrid(np.arange(14), np.arange(14))
places = np.concatenate([waves(384, columns), waves(384, rows)], axis=1)
embedding = torch.from_numpy(np.concatenate([np.zeros((1, 768)), places])[None]).float()
is_as_described = True
for side, least in ((7, 0.02), (24, 0.005)):
    model = timm.create_model("vit_base_patch16_224.mae", img_size=16 * side, depth=1)
    state = model.state_dict() | {"pos_embed": embedding}
    theirs = checkpoint_filter_fn(dict(state), model)["pos_embed"][:, 1:]
    plain = checkpoint_filter_fn(dict(state), model, antialias=False)["pos_embed"][:, 1:]
    # MAE's interpolate_pos_embed (util/pos_embed.py)
    grid = embedding[:, 1:].reshape(1, 14, 14, 768).permute(0, 3, 1, 2)
    grid = functional.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    maes = grid.permute(0, 2, 3, 1).flatten(1, 2)
    apart = ((theirs - maes).norm() / maes.norm()).item()
    same = torch.equal(plain, maes)
    print(f"{side} x {side}: timm is {apart:.1%} from MAE's; with antialias=False the same: {same}")
    is_as_described &= apart > least and same
sys.exit(0 if is_as_described else "The behaviour has changed.")
PY

"$here/venv/bin/python" "$here/compare.py"
