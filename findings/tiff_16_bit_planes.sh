#!/usr/bin/env bash
# Expected: a TIFF in RGB of 16 bits reads alike whether its channels are interleaved or lie apart, and keeps its depth.
# Happens: uncompressed channels that lie apart come out as other values, without a warning; interleaved ones keep the upper byte alone.
# With: Pillow 13.0.0, NumPy 2.4.6, tifffile 2026.1.28 (which writes channels apart from an array of 3 x height x width).
# To do: have such files read by libtiff (compress them, or save them interleaved), and scale 10 or 12 bits to 8 before Pillow does.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pillow==13.0.0" "numpy==2.4.6" "tifffile==2026.1.28"
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import warnings
from pathlib import Path

import numpy as np
import PIL
import tifffile
from PIL import Image

warnings.simplefilter("error")
folder = Path(sys.argv[1])
print(f"Pillow {PIL.__version__}, NumPy {np.__version__}, tifffile {tifffile.__version__}")
ramp = np.tile(np.linspace(0, 65535, 32).astype(np.uint16), (4, 1))
colours = np.stack([ramp, ramp[:, ::-1], ramp // 2])
expected = np.moveaxis(colours >> 8, 0, 2)


def seen(name, array, **how):
    tifffile.imwrite(folder / name, array, photometric="rgb", **how)
    with Image.open(folder / name) as image:
        return image.mode, np.asarray(image)


mode, together = seen("together.tif", np.moveaxis(colours, 0, 2), planarconfig="contig")
_, apart = seen("apart.tif", colours, planarconfig="separate")
_, deflated = seen("deflated.tif", colours, planarconfig="separate", compression="zlib")
_, ten = seen("ten.tif", np.moveaxis(colours >> 6, 0, 2), planarconfig="contig")
print("interleaved, upper bytes:   ", mode, together[0, [0, 8, 16]].tolist())
print("apart, deflated:            ", mode, deflated[0, [0, 8, 16]].tolist())
print("apart, uncompressed:        ", mode, apart[0, [0, 8, 16]].tolist())
print("interleaved, 10 bits, levels:", len(np.unique(ten)))
same = np.array_equal(together, expected) and np.array_equal(deflated, expected)
wrong = not np.array_equal(apart, expected)
if same and wrong and len(np.unique(ten)) <= 4:
    print("As described: the uncompressed file with its channels apart is read as another picture,")
    print("and 10 bits in colour keep 4 levels; Pillow warns of neither.")
    sys.exit(0)
print("Pillow reads these files otherwise now.")
sys.exit(1)
PYTHON
