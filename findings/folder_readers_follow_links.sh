#!/usr/bin/env bash
# Expected: a folder of photographs is read alike by torchvision and timm: each photograph once, its class the folder below the root.
# Happens: a link from a class's folder to itself gives one photograph 41 times (torchvision), or 40 times under the link's name (timm); thumbnails of network storage (@eaDir) are photographs too, for timm of a class of their own.
# Versions: torchvision 0.28.0 and timm 1.0.31 with torch 2.13.0, on Linux.
# What to do: compare the number of samples and classes with what you put there; remove links that lead back and folders such as @eaDir before you train or test.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
# === leaves out builds with a local version: torch and torchvision must be of one build.
"$here/venv/bin/pip" install --quiet --disable-pip-version-check torch===2.13.0 torchvision===0.28.0 timm==1.0.31

cat > "$here/look.py" <<'PY'
import os
import sys
from collections import Counter
from pathlib import Path

import timm
import torch
import torchvision
from PIL import Image
from timm.data.readers.reader_image_folder import ReaderImageFolder
from torchvision.datasets import ImageFolder

root = Path(sys.argv[1])
thumbnails = root / "dog" / "@eaDir" / "one.jpg"
(root / "cat").mkdir(parents=True)
thumbnails.mkdir(parents=True)
Image.new("RGB", (8, 8), (200, 0, 0)).save(root / "cat" / "one.jpg")
Image.new("RGB", (8, 8), (0, 0, 200)).save(root / "dog" / "one.jpg")
Image.new("RGB", (4, 4), (0, 0, 200)).save(thumbnails / "SYNOPHOTO_THUMB_M.jpg")
os.symlink(".", root / "cat" / "again")

print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}")
print("there: 2 photographs of 2 classes, 1 thumbnail, 1 link of a class's folder to itself")

read = ImageFolder(str(root))
by_class = Counter(read.classes[label] for _, label in read.samples)
print(f"torchvision reads {len(read)} samples: {dict(by_class)}")

other = ReaderImageFolder(str(root))
names = {label: name for name, label in other.class_to_idx.items()}
by_name = Counter(names[label] for _, label in other.samples)
print(f"timm reads {len(other.samples)} samples: {dict(by_name)}")

as_told = (
    by_class == {"cat": 41, "dog": 2}
    and by_name == {"again": 40, "cat": 1, "dog": 1, "one.jpg": 1}
)
if not as_told:
    sys.exit("the behaviour has changed")
print("as told: one photograph is read 41 times, and a thumbnail is a photograph")
PY
"$here/venv/bin/python" "$here/look.py" "$here/photographs"
