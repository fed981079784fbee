"""`parquet`: photographs in Parquet files as the hub keeps them; read in place, not unpacked.

A row has the encoded image, a column of bytes or of `{bytes, path}`, and its class, a number or a
name. What Hugging Face's library writes into the files' schema names the classes. One row group is
read at a time, and the last ones are kept, up to KEPT_BYTES a process: a photograph out of order
costs the reading of its row group, so small ones (100 rows, as the hub writes them) are best.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sightlines.datasets import shards
from sightlines.datasets.shard_reading import ROWS
from sightlines.datasets.shards import NO_LABELS, Index, Sample, as_label

SETTINGS: dict[str, dict[str, Any]] = {
    "folder": {
        "description": "Folder of the shards, relative to data_root; also folders in it are "
        "looked through. Names with train and val or test divide the images.",
        "type": "string",
        "minLength": 1,
        "x-path": [],
    },
    "size_px": {
        "description": "Width and height to which photographs are scaled and cropped.",
        "unit": "px",
        "type": "integer",
        "minimum": 16,
        "maximum": 1024,
        "default": 224,
    },
    "image_column": {
        "description": "Column of the encoded images.",
        "type": "string",
        "minLength": 1,
        "default": "image",
    },
    "label_column": {
        "description": "Column of the classes, numbers or names; none: there are no labels.",
        "type": "string",
        "minLength": 1,
        "default": "label",
    },
    "class_names": {
        "description": "Text file below the folder with the names of the classes, one a line, "
        "that of label 0 first; else those that the files' schema tells, else the numbers.",
        "type": "string",
        "minLength": 1,
        "x-path": [],
    },
    "test_share": {
        "description": "Share of each class that becomes test images where no names of shards "
        "divide the photographs.",
        "type": "number",
        "exclusiveMinimum": 0,
        "exclusiveMaximum": 1,
        "default": 0.2,
    },
    "test_split": {
        "description": "Which shards serve as the test images where there are val and test: val, "
        "unless this says test. The others are not read.",
        "enum": ["val", "test"],
    },
    "repeats": {
        "description": "Whether a photograph that is there twice, under two classes or in train "
        "and test, is an error or is taken as it is.",
        "enum": ["refuse", "keep"],
        "default": "refuse",
    },
    "max_megapixels": {
        "description": "Largest photograph that is read. Decoding one takes up to 8 bytes a pixel "
        "in each of compute.workers processes; JPEGs take far less.",
        "unit": "megapixels",
        "type": "integer",
        "minimum": 1,
        "maximum": 4295,
        "default": 179,
    },
    "white_level": {
        "description": "Level that is white in photographs of more than 8 bits; auto: see "
        "imagefolder.",
        "oneOf": [{"enum": ["auto"]}, {"type": "integer", "minimum": 255, "maximum": 65535}],
        "default": "auto",
    },
}

REQUIRED = ("folder",)
LABELS_OPTIONAL = True
"""`fingerprint` asks what labels are needed for, and can do without them."""

FILES = ("dataset.json", "manifest.parquet")

MAGIC = b"PAR1"
SHOWN = 8


def variant(settings: Mapping[str, Any]) -> str:
    """Folder name below `data/`."""
    return shards.variant(FORM.kind, settings)


def check(settings: Mapping[str, Any]) -> tuple[int, int]:
    """See `shards.check`."""
    return shards.check(settings)


def counts(_settings: Mapping[str, Any]) -> dict[str, int]:
    """Images of each split: not known before the shards are read."""
    return {}


def fingerprint(
    settings: Mapping[str, Any], source: Path, labels_for: Sequence[str] = shards.TRAINING
) -> str:
    """See `shards.fingerprint`."""
    return shards.fingerprint(FORM, settings, source, labels_for)


def prepare(
    settings: Mapping[str, Any], source: Path, out: Path, log: Any, is_labelled: bool = True
) -> None:
    """See `shards.prepare`."""
    shards.prepare(FORM, settings, source, out, log, is_labelled)


def index(path: Path, settings: Mapping[str, Any]) -> Index:
    """What a file holds; of its columns only that of the classes is read."""
    import pyarrow
    from pyarrow import parquet

    found = Index()
    try:
        with parquet.ParquetFile(path, memory_map=False) as file:
            _index(file, settings, found)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        found.offences.append(f"damaged or cut off ({str(error).splitlines()[0]}): fetch it again")
    return found


def _index(file: Any, settings: Mapping[str, Any], found: Index) -> None:
    image, label = settings["image_column"], settings["label_column"]
    schema = file.schema_arrow
    found.offences += _wrong_columns(schema, image, label)
    if found.offences:
        return
    found.names = _told_names(schema, label)
    first = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        labels: list[Any] = [None] * rows
        if label != NO_LABELS:
            labels = file.read_row_group(group, columns=[label]).column(label).to_pylist()
        for row, value in enumerate(labels):
            place, key = group * ROWS + row, str(first + row)
            try:
                named = None if label == NO_LABELS else as_label(value, label)
            except ValueError as error:
                found.offences.append(f"row {key}: {error}; leave it out")
            else:
                found.samples.append(Sample(key, place, named))
        first += rows


def _wrong_columns(schema: Any, image: str, label: str) -> list[str]:
    """What keeps the two columns from being read, one line each."""
    from pyarrow import types

    offences = []
    there = ", ".join(schema.names[:SHOWN])
    for key, name in (("image_column", image), ("label_column", label)):
        if name not in schema.names and (key, name) != ("label_column", NO_LABELS):
            offences.append(f"no column {name!r}, but {there}: set dataset.{key}")
    if image in schema.names:
        kind = schema.field(image).type
        inner = kind
        if types.is_struct(kind):
            has_bytes = "bytes" in [kind.field(i).name for i in range(kind.num_fields)]
            inner = kind.field("bytes").type if has_bytes else kind
        if not (types.is_binary(inner) or types.is_large_binary(inner)):
            offences.append(
                f"its column {image!r} is {kind}, not encoded images: set dataset.image_column to "
                "a column of bytes, or of a struct with bytes"
            )
    if label in schema.names:
        kind = schema.field(label).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        if not (types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind)):
            offences.append(
                f"its column {label!r} is {kind}, neither numbers nor names: set "
                "dataset.label_column"
            )
    return offences


def _told_names(schema: Any, label: str) -> list[str]:
    """Class names that Hugging Face's library writes into a schema; empty where there are none."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = told["info"]["features"][label]["names"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if is_list else []


def _look(path: Path) -> str:
    """Why a file is no whole Parquet file, by its first and last bytes; empty where it may be."""
    try:
        with path.open("rb") as file:
            first = file.read(4)
            size = file.seek(0, 2)
            file.seek(max(size - 4, 0))
            last = file.read()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if first != MAGIC:
        return "no Parquet file by its first bytes (a pointer of Git LFS?): fetch it again"
    if last != MAGIC:
        return f"cut off: it ends at byte {size:,} without its footer: fetch it again"
    return ""


FORM = shards.Form(
    kind="parquet",
    is_shard=lambda path: path.suffix.lower() == ".parquet",
    refuse=lambda _path: "",
    look=_look,
    index=index,
    label_key="label_column",
    facts=("image_column",),
)
