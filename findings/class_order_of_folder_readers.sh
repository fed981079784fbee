#!/usr/bin/env bash
# One would expect: two usual readers give the same number to the same class folder, in every process.
# What happens: torchvision sorts names as text, timm by numbers and without case; timm skips folders of .webp, and "1" and "01" change places from one process to the next.
# Versions: timm 1.0.31, torchvision 0.28.0, torch 2.13.0, Python 3.11.
# What to do: keep the list of class names beside the weights, pad numbers to one length, and score with the order of the reader that trained the network.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python" \
  timm==1.0.31 torch==2.13.0 torchvision==0.28.0 pillow

cat > "$work/readers.py" <<'PYTHON'
import sys
from pathlib import Path

from PIL import Image


def numbers(root, folders):
    """Class -> number, of torchvision and of timm, for folders with one picture each."""
    from timm.data.readers.reader_image_folder import ReaderImageFolder
    from torchvision.datasets import ImageFolder

    write(root, folders)
    return ImageFolder(root).class_to_idx, ReaderImageFolder(str(root)).class_to_idx


def write(root, folders):
    for name, ending in folders.items():
        (root / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(root / name / f"a.{ending}")


def show(title, found):
    print(f"\n{title}")
    for reader, order in zip(("torchvision", "timm"), found, strict=True):
        print(f"  {reader:11} {' '.join(sorted(order, key=order.get))}")


root = Path(sys.argv[1])
if sys.argv[2] == "tie":  # timm alone, in this process
    from timm.data.readers.reader_image_folder import ReaderImageFolder

    write(root, dict.fromkeys(("1", "01", "001", "2"), "png"))
    print(*sorted(ReaderImageFolder(str(root)).class_to_idx.items()))
    sys.exit()

cases = {
    "numbers without padding": dict.fromkeys(map(str, range(12)), "png"),
    "capitals": dict.fromkeys(("Zebra", "ant", "Bee"), "png"),
    "a folder of WebP": {"a": "png", "b": "webp", "c": "png"},
    "padded numbers": dict.fromkeys((f"{i:02}" for i in range(12)), "png"),
}
differ = {}
for place, (title, folders) in enumerate(cases.items()):
    found = numbers(root / str(place), folders)
    show(title, found)
    differ[title] = found[0] != found[1]
expected = {title: title != "padded numbers" for title in cases}
sys.exit(0 if differ == expected else f"the behaviour has changed: differ is {differ}")
PYTHON

"$work/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

print("Python", sys.version.split()[0], *(f"{p} {version(p)}" for p in ("timm", "torchvision", "torch")))
PYTHON
"$work/venv/bin/python" "$work/readers.py" "$work/cases" all

echo
echo "timm's numbers of 001, 01, 1 and 2 in three processes:"
for seed in 0 1 2; do
  PYTHONHASHSEED=$seed "$work/venv/bin/python" "$work/readers.py" "$work/tie$seed" tie
done | tee "$work/ties" | sort | uniq -c
if [ "$(sort -u "$work/ties" | wc -l)" -lt 2 ]; then
  echo "the behaviour has changed: all processes agree" >&2
  exit 1
fi
echo
echo "The same folders have other class numbers for torchvision and timm (first three cases), and names that"
echo "timm takes for equal are numbered by chance."
