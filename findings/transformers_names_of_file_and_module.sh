#!/usr/bin/env bash
# Expected: tensors in a checkpoint that transformers saved have the names of the modules that hold them.
# Seen: transformers 5 renamed its ViT's modules and translates in save_pretrained and from_pretrained: 48 of 56 names differ.
# With: transformers 5.23.0, torch 2.13.0, safetensors 0.8.0; ViTForImageClassification of three blocks.
# So: read such files by from_pretrained alone, and name layers by named_modules(), never by the names in the file.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check \
  transformers==5.23.0 torch==2.13.0 safetensors==0.8.0 numpy==2.3.5

cat > "$place/names.py" <<'PYTHON'
import sys

import safetensors
import torch
import transformers
from safetensors.torch import load_file
from transformers import ViTConfig, ViTForImageClassification

transformers.utils.logging.disable_progress_bar()
print(f"transformers {transformers.__version__}, torch {torch.__version__}, "
      f"safetensors {safetensors.__version__}")
small = ViTConfig(hidden_size=24, num_hidden_layers=3, num_attention_heads=3,
                  intermediate_size=48, image_size=32, patch_size=16)
torch.manual_seed(0)
model = ViTForImageClassification(small).eval()
model.save_pretrained(sys.argv[1])

saved = load_file(f"{sys.argv[1]}/model.safetensors")
held = model.state_dict()
other = sorted(saved.keys() - held.keys())
print(f"{len(other)} of {len(saved)} names in the file are no module's, such as")
for name in other[:2]:
    print("  file  ", name)
for name in sorted(held.keys() - saved.keys())[:2]:
    print("  module", name)

pixels = torch.randn(2, 3, 32, 32)
with torch.no_grad():
    expected = model(pixels).logits
    read = ViTForImageClassification.from_pretrained(sys.argv[1]).eval()
    print("from_pretrained gives the same outputs:", torch.equal(read(pixels).logits, expected))
    torch.manual_seed(1)
    by_name = ViTForImageClassification(small).eval()
    result = by_name.load_state_dict(saved, strict=False)
    same = torch.equal(by_name(pixels).logits, expected)
print(f"load_state_dict(strict=False) leaves {len(result.missing_keys)} tensors as they were; "
      f"the same outputs: {same}")
changed = not other or not torch.equal(read(pixels).logits, expected) or same
sys.exit("This has changed." if changed else 0)
PYTHON
"$place/venv/bin/python" "$place/names.py" "$place/vit"
