#!/usr/bin/env bash
# Expected: a tar archive that is damaged in the middle, or that ends between two members, is refused when it is read.
# Seen: Python's tarfile takes both for the end of the archive; WebDataset, which reads shards with it, gives the samples before and no error.
# With: Python 3.11 to 3.13, webdataset 1.0.2 and older.
# So: after the last member ask for the block of zeros with which every archive ends, before a dataset is taken for whole.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check webdataset==1.0.2

cat > "$place/read.py" <<'PYTHON'
import io
import sys
import tarfile
from pathlib import Path

import webdataset

folder = Path(sys.argv[1])
whole = folder / "whole.tar"
with tarfile.open(whole, "w") as archive:
    for number in range(10):
        for ending in ("jpg", "cls"):
            info = tarfile.TarInfo(f"{number:03}.{ending}")
            info.size = 4
            archive.addfile(info, io.BytesIO(b"data"))
content = whole.read_bytes()
header = content.index(b"005.jpg")
(folder / "damaged.tar").write_bytes(content.replace(b"005.jpg", b"0O5.jpg"))
(folder / "short.tar").write_bytes(content[:header])
found = {}
for name in ("whole", "damaged", "short"):
    path = folder / f"{name}.tar"
    with tarfile.open(path) as archive:
        members = len(archive.getmembers())
    samples = sum(1 for _ in webdataset.WebDataset(str(path), shardshuffle=False))
    found[name] = (members, samples)
    print(f"{name}.tar: {members} members for tarfile, {samples} samples for webdataset, no error")
as_described = found == {"whole": (20, 10), "damaged": (10, 5), "short": (10, 5)}
sys.exit(0 if as_described else "The behaviour has changed.")
PYTHON
"$place/venv/bin/python" "$place/read.py" "$place"
