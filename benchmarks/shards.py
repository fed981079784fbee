"""Photographs out of shards, against the same photographs as files of a folder.

    python benchmarks/shards.py [--folder <image folder>] [--images 1000]

Packs the photographs of a folder (`<class>/*`; JPEGs of 224 px made here unless one is given) into
WebDataset tars, Parquet files (row groups of 100, as the hub writes them) and LMDB databases, and
prints processor milliseconds an image of reading and decoding each, in the order of the shards and
in a random one, beside the folder; the seconds of preparing each, and that all give equal pixels.
Goal: in order at most 1.1 of the folder's time, at random tars and LMDB too.
"""

import argparse
import hashlib
import io
import json
import logging
import sys
import tarfile
import tempfile
from pathlib import Path

import measuring
import numpy as np
import torch

from sightlines.core.devices import Compute
from sightlines.datasets import imagefolder, reading
from sightlines.plan import config, registry

SIZE_PX, BATCH, REPEATS, SHARDS, GROUP = 224, 50, 5, 4, 100
KINDS = ("imagefolder", "webdataset", "parquet", "lmdb")


def photographs(folder, count):
    """Up to so many photographs: name of the class, name of the file, content."""
    paths = sorted(p for p in folder.glob("*/*") if p.is_file())
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(count, len(paths)), dtype=int)]
    return [(path.parent.name, path.name, path.read_bytes()) for path in chosen]


def made(folder, count):
    """JPEGs with structure at all scales, in ten classes."""
    sys.path.insert(0, str(Path(__file__).parent))
    import photographs as other

    other.IMAGES = count
    other.make_photographs(folder)
    for path in sorted(folder.glob("*.jpg")):
        place = folder / f"{int(path.stem) % 10}" / path.name
        place.parent.mkdir(exist_ok=True)
        path.rename(place)
    return photographs(folder, count)


def pack(root, kind, samples):
    """Write all samples in one form."""
    folder = root / kind
    folder.mkdir()
    if kind == "imagefolder":
        for name, file, content in samples:
            (folder / name).mkdir(exist_ok=True)
            (folder / name / file).write_bytes(content)
        return
    for number, part in enumerate(np.array_split(np.arange(len(samples)), SHARDS)):
        PACKERS[kind](folder / f"{number:03}", [samples[i] for i in part])


def pack_tar(path, samples):
    with tarfile.open(path.with_suffix(".tar"), "w") as archive:
        for index, (name, _, content) in enumerate(samples):
            for ending, body in (("cls", name.encode()), ("jpg", content)):
                info = tarfile.TarInfo(f"{index:06}.{ending}")
                info.size = len(body)
                archive.addfile(info, io.BytesIO(body))


def pack_parquet(path, samples):
    import pyarrow
    from pyarrow import parquet

    images = [{"bytes": content, "path": file} for _, file, content in samples]
    table = pyarrow.table({"image": images, "label": [name for name, *_ in samples]})
    parquet.write_table(table, path.with_suffix(".parquet"), row_group_size=GROUP)


def pack_lmdb(path, samples):
    import lmdb

    room = 2 * sum(len(content) for *_, content in samples) + 2**24
    path.with_suffix(".lmdb").mkdir()
    with lmdb.open(str(path.with_suffix(".lmdb")), map_size=room) as database:
        with database.begin(write=True) as writing:
            keys = [f"{index:06}" for index in range(len(samples))]
            labels = {key: name for key, (name, *_) in zip(keys, samples, strict=True)}
            writing.put(b"labels", json.dumps(labels).encode())
            for key, (*_, content) in zip(keys, samples, strict=True):
                writing.put(key.encode(), content)


PACKERS = {"webdataset": pack_tar, "parquet": pack_parquet, "lmdb": pack_lmdb}


def prepared(root, kind):
    """The dataset as a job makes it, opened as training opens it; seconds of making it."""
    node = config.member_schema({"x-members": "datasets", "x-select": "kind"}, kind)
    settings = {k: v["default"] for k, v in node["properties"].items() if "default" in v}
    settings |= {"kind": kind, "folder": kind, "size_px": SIZE_PX, "test_share": 0.01}
    settings |= {"repeats": "keep"} if kind != "imagefolder" else {}
    began = measuring.cpu_s()
    module = registry.load("datasets", kind) if kind != "imagefolder" else imagefolder
    module.prepare(settings, root, root / "data" / kind, logging.getLogger("benchmark"))
    spent = measuring.cpu_s() - began
    compute = Compute(torch.device("cpu"), torch.float32, 1, 0)
    return reading.open_dataset(root / "data" / kind / "dataset.json", root, compute), spent


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    said = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        samples = photographs(said.folder, said.images) if said.folder else made(root, said.images)
        size = np.mean([len(content) for *_, content in samples]) / 1e3
        print(f"{len(samples)} photographs of {size:.0f} kB on average", flush=True)
        sets = {}
        for kind in KINDS:
            pack(root, kind, samples)
            sets[kind], spent = prepared(root, kind)
            print(f"{kind}: prepared in {spent:.1f} processor s", flush=True)
        images = sets["imagefolder"].facts["counts"]["train"]
        orders = {
            "in order": np.arange(images),
            "at random": np.random.default_rng(0).permutation(images),
        }
        digests = {kind: content_digests(opened) for kind, opened in sets.items()}
        assert len(set(map(frozenset, digests.values()))) == 1, "pixels differ"
        for order, indices in orders.items():
            batches = np.array_split(indices, max(images // BATCH, 1))
            work = {kind: reader(opened, batches) for kind, opened in sets.items()}
            seconds = measuring.measure(work, REPEATS)
            for kind in KINDS:
                print(
                    f"{order}, {kind}: {1e3 * seconds[kind] / images:.3f} processor ms an image, "
                    f"{seconds[kind] / seconds['imagefolder']:.2f} of the folder's",
                    flush=True,
                )


def reader(opened, batches):
    """Reads and decodes all batches once."""

    def read():
        for _ in opened.batches("train", batches):
            pass

    return read


def content_digests(opened):
    """Of every image's pixels: the order of a folder's files is another than the shards'."""
    images = np.arange(opened.facts["counts"]["train"])
    batches = np.array_split(images, max(len(images) // BATCH, 1))
    return {
        hashlib.sha256(image.numpy().tobytes()).digest()
        for pixels in opened.batches("train", batches)
        for image in pixels
    }


if __name__ == "__main__":
    main()
