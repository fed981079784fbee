#!/usr/bin/env bash
# Expected: forward_intermediates of a timm model gives outputs of its stages or blocks, as it does of ResNets' stages, ConvNeXts and ViTs.
# Happens: of the Xceptions it does not. legacy_xception's are what the rectifier at the beginning of the next block makes of a block's output (no negative value is left); xception41p's lie inside of a block, before its stride and its skip, so that their maps are twice as wide as the block's output. NASNet and PNASNet are as legacy_xception. Nothing says so but feature_info's names of modules.
# Versions: timm 1.0.31 with torch 2.13.0.
# What to do: look at feature_info's module names before comparing intermediates across networks; hook the blocks themselves where block outputs are meant, as this project does.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet --disable-pip-version-check torch===2.13.0 torchvision===0.28.0 timm==1.0.31 numpy==2.3.5

cat > "$here/intermediates.py" <<'PY'
import sys

import timm
import torch

torch.manual_seed(0)
images = torch.randn(2, 3, 64, 64)


def outputs(model, blocks):
    found = []
    handles = [b.register_forward_hook(lambda m, i, o: found.append(o.clone())) for b in blocks]
    with torch.no_grad():
        model(images)
        for handle in handles:
            handle.remove()
        return found, model.forward_intermediates(images, intermediates_only=True)


print("timm", timm.__version__, "torch", torch.__version__)
plain = timm.create_model("resnet18", num_classes=0).eval()
ends, between = outputs(plain, [plain.layer1, plain.layer2, plain.layer3, plain.layer4])
usual = all(torch.equal(a, b) for a, b in zip(ends, between[1:], strict=True))
print(f"resnet18: intermediates are its stages' outputs: {usual}")

legacy = timm.create_model("legacy_xception", num_classes=0).eval()
ends, between = outputs(legacy, [legacy.block1, legacy.block2, legacy.block3])
same = [torch.equal(a, between[1 + i]) for i, a in enumerate(ends[:2])]
rectified = [torch.equal(torch.relu(a), between[1 + i]) for i, a in enumerate(ends[:2])]
names = [own["module"] for own in legacy.feature_info[1:3]]
print(f"legacy_xception: named {names}; equal to blocks' outputs: {same}, rectified: {rectified}")

inside = timm.create_model("xception41p", num_classes=0).eval()
ends, between = outputs(inside, [*inside.blocks])
wide = [tuple(b.shape[2:]) for b in between[:2]]
block = [tuple(a.shape[2:]) for a in ends[:2]]
names = [own["module"] for own in inside.feature_info[:2]]
print(f"xception41p: named {names}; maps of {wide}, of the blocks' outputs {block}")

as_described = usual and not any(same) and all(rectified)
as_described &= all(w[0] == 2 * b[0] for w, b in zip(wide, block, strict=True))
sys.exit(0 if as_described else "The behaviour has changed.")
PY

"$here/venv/bin/python" "$here/intermediates.py"
