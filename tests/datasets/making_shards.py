"""Shards of every form made by the formats' own libraries, from photographs with labels."""

import io
import json
import shutil
import tarfile

import lmdb
import pyarrow
from pyarrow import parquet

NAMES = ("cat", "dog")


def write_tar(path, members):
    """A tar archive of (name, content), in that order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_parquet(path, columns, names=None, group=3):
    """A Parquet file in small row groups; class names as Hugging Face's library notes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table(columns)
    if names:
        label = {"names": list(names), "_type": "ClassLabel"}
        told = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(told)})
    parquet.write_table(table, path, row_group_size=group)


def write_lmdb(path, values):
    """A database in a folder."""
    path.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(path), map_size=2**26) as database, database.begin(write=True) as writing:
        for key, value in values.items():
            writing.put(key if isinstance(key, bytes) else key.encode(), value)


def webdataset(folder, shard, samples):
    """One archive of (name, content, label number)."""
    members = []
    for number, (name, content, label) in enumerate(samples):
        stem, ending = f"{number:05}", name.rpartition(".")[2]
        members += [(f"{stem}.cls", str(label).encode()), (f"{stem}.{ending}", content)]
        members.append((f"{stem}.json", json.dumps({"of": {"class": NAMES[label]}}).encode()))
    write_tar(folder / f"{shard}.tar", members)
    (folder / "names.txt").write_text("\n".join(NAMES))


def of_parquet(folder, shard, samples):
    images = [{"bytes": content, "path": name} for name, content, _ in samples]
    columns = {"image": images, "label": [label for *_, label in samples]}
    write_parquet(folder / f"{shard}.parquet", columns, NAMES)


def of_lmdb(folder, shard, samples):
    values = {f"{i:05}-{name}": content for i, (name, content, _) in enumerate(samples)}
    labels = {f"{i:05}-{name}": NAMES[label] for i, (name, _, label) in enumerate(samples)}
    write_lmdb(folder / f"{shard}.lmdb", values | {"labels": json.dumps(labels).encode()})


FORMS = {"webdataset": webdataset, "parquet": of_parquet, "lmdb": of_lmdb}


def from_folder(folder, out, kind, shards=("",), per_shard=None):
    """Shards of the photographs of an image folder, class by class in its order."""
    samples = [
        (path.name, path.read_bytes(), NAMES.index(path.parent.name))
        for path in sorted(folder.glob("*/*"))
    ]
    shutil.rmtree(out, ignore_errors=True)
    size = -(-len(samples) // len(shards))
    for number, shard in enumerate(shards):
        FORMS[kind](out, shard or "all", samples[number * size : (number + 1) * size])
    return out
