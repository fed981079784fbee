"""`lmdb`: photographs in LMDB databases; read in place, not unpacked.

Each key has an encoded image as its value. The key `labels` has a JSON object: the class of each
key, a number or a name. A database is a folder with `data.mdb`, or a file `*.mdb` or `*.lmdb`.
Values that are pickles, which many programs store, or Caffe's Datum are refused: no file is read by
unpickling it. The library `lmdb` is an extra (`uv pip install 'lmdb==3.0.0'`).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sightlines.datasets import shards
from sightlines.datasets.shard_reading import lmdb_library, opened_lmdb
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
    "label_key": {
        "description": "Key whose value is a JSON object with the class of each key; none: there "
        "are no labels.",
        "type": "string",
        "minLength": 1,
        "default": "labels",
    },
    "class_names": {
        "description": "Text file below the folder with the names of the classes, one a line, "
        "that of label 0 first; without it labels that are numbers are the names.",
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

ENDINGS = (".mdb", ".lmdb")
MAGIC = bytes.fromhex("dec0efbe")
"""At byte 16 of both first pages."""
OF_PROGRAMS = b"__"
"""How keys begin in which programs keep facts of their own, such as `__len__`: passed over."""
PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
DATUM = b"\x08"
SHOWN = 20


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
    """What a database holds; of the images only the first bytes are looked at."""
    lmdb, found = lmdb_library(), Index()
    name = settings["label_key"]
    labels: dict[str, Any] = {}
    try:
        with opened_lmdb(path) as database, database.begin(buffers=True) as transaction:
            if name != NO_LABELS:
                told = transaction.get(name.encode())
                labels, wrong = _labels(None if told is None else bytes(told), name)
                found.offences += [wrong] * bool(wrong)
                if wrong:
                    return found
            for place, (key, value) in enumerate(transaction.cursor()):
                if bytes(key) == name.encode() or bytes(key).startswith(OF_PROGRAMS):
                    continue
                _add(found, bytes(key), bytes(value[:2]), place, labels, name)
    except (lmdb.Error, OSError, ValueError) as error:
        found.offences.append(f"damaged or cut off ({error}): fetch it again")
    there = {sample.key for sample in found.samples}
    lost = [key for key in labels if key not in there]
    if lost and not found.offences:
        shown = ", ".join(map(repr, lost[:SHOWN])) + ", …" * (len(lost) > SHOWN)
        found.offences.append(f"{name} names images that are not there: {shown}: leave them out")
    return found


def _labels(told: bytes | None, name: str) -> tuple[dict[str, Any], str]:
    """The class of each key, and what is wrong."""
    if told is None:
        cure = f"add it, or set dataset.label_key to the key that holds them, or to {NO_LABELS}"
        return {}, f"no labels: there is no key {name!r}: {cure}"
    if told[:2] in PICKLES:
        return {}, f"its key {name!r} holds a pickle, which is never loaded: store JSON"
    try:
        labels = json.loads(told)
    except (ValueError, RecursionError) as error:
        return {}, f"its key {name!r} holds no JSON ({error}): store a JSON object"
    if not isinstance(labels, dict):
        return {}, f"its key {name!r} holds no JSON object: store one, from keys to classes"
    return labels, ""


def _add(
    found: Index, key: bytes, first: bytes, place: int, labels: Mapping[str, Any], name: str
) -> None:
    """Add a photograph to an index, or what is wrong with it."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        text = ""
    if not text.isprintable() or not text:
        found.offences.append(f"{key!r}: a key that is not printable UTF-8: rename it")
    elif first in PICKLES:
        found.offences.append(
            f"{text}: a pickle, which is never loaded: store the encoded image (JPEG, PNG) itself"
        )
    elif first[:1] == DATUM:
        found.offences.append(
            f"{text}: a Datum of Caffe, which is not read: store the image itself"
        )
    elif name == NO_LABELS:
        found.samples.append(Sample(text, place))
    elif text not in labels:
        found.offences.append(f"{text}: no label: {name} lacks it; add it, or leave the image out")
    else:
        try:
            found.samples.append(Sample(text, place, as_label(labels[text], name)))
        except ValueError as error:
            found.offences.append(f"{text}: {error}")


def _look(path: Path) -> str:
    """Why a file is no database, by its first bytes; empty where it may be."""
    try:
        with path.open("rb") as file:
            page = file.read(32)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if page[16:20] != MAGIC:
        return "no LMDB database by its first bytes: fetch it again"
    return ""


FORM = shards.Form(
    kind="lmdb",
    is_shard=lambda path: path.suffix.lower() in ENDINGS and path.name != "lock.mdb",
    refuse=lambda _path: "",
    look=_look,
    index=index,
    label_key="label_key",
)
