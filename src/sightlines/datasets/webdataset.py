"""`webdataset`: photographs in tar archives as WebDataset writes them; read in place, not unpacked.

A sample is the members beside each other whose names are equal up to the first point of the last
part: `n01440764/00017.jpg`, `n01440764/00017.cls`. Its photograph is the member with an image's
ending; its class, a number or a name, stands in the member `cls`, or in a field of the member
`json`. Other members are passed over, none is unpickled.

Archives are indexed by `tarfile`, and a photograph is read at its offset. The library `webdataset`
reads archives from end to end, which gives the order in which they were written and a shuffle that
depends on how many processes read; here any image of any minibatch comes at once, in the order that
the seed asks for.
"""

import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from sightlines.datasets import shards
from sightlines.datasets.imagefolder_scan import ENDINGS
from sightlines.datasets.shard_reading import BLOCK, SIZES
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
    "label": {
        "description": "Member of a sample that holds its class: cls, or a field of the member "
        "json, as in json.label; none: there are no labels.",
        "type": "string",
        "pattern": "^(none|[A-Za-z0-9_]+|json([.][^.]+)+)$",
        "default": "cls",
    },
    "image": {
        "description": "Member of a sample that holds the photograph, as in input.jpg, where a "
        "sample has more than one image.",
        "type": "string",
        "pattern": "^[^/]+$",
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

LONGEST_LABEL = 65536
"""Bytes of a member that holds a label, at most; a json may describe its photograph at length."""
SHOWN = 5


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


@dataclass
class _Members:
    """The members of one sample, by what follows its name, with their places."""

    key: str
    places: dict[str, int]
    small: dict[str, bytes]


def index(path: Path, settings: Mapping[str, Any]) -> Index:
    """What an archive holds; only headers and labels are read."""
    found = Index()
    label, wanted = settings["label"], settings.get("image", "")
    label_member = label.split(".")[0]
    current: _Members | None = None
    ended: set[str] = set()
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            while member := archive.next():
                archive.members = []  # type: ignore[attr-defined] # it would keep all
                if member.size < 0:  # the next header would be one that was read before, for ever
                    raise ValueError(f"{member.name} has {member.size:,} bytes")
                key, ending = _split_name(member.name)
                if not member.isreg() or not ending:
                    continue
                if key in ended or (current and key == current.key and ending in current.places):
                    what = "comes apart" if key in ended else "comes twice"
                    found.offences.append(
                        f"{member.name}: {what}: a sample's members must lie beside each other, "
                        "each once: give each sample a name of its own"
                    )
                    continue
                if current is None or key != current.key:
                    if current is not None:
                        _add(found, current, label, wanted)
                        ended.add(current.key)
                    current = _Members(key, {}, {})
                if member.issparse() or member.size >= SIZES:
                    found.offences.append(
                        f"{member.name}: a sparse file, or one of 8 GiB: store it as it is"
                    )
                    continue
                current.places[ending] = member.offset_data // BLOCK * SIZES + member.size
                if ending == label_member and label != NO_LABELS:
                    current.small[ending] = _read(file, member.offset_data, member.size)
            if current is not None:
                _add(found, current, label, wanted)
            _require_end(file, archive.offset)
    except (tarfile.TarError, EOFError, OSError, ValueError, RecursionError) as error:
        found.offences.append(f"damaged or cut off ({error}): fetch it again")
    return found


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    """A small member, without moving the archive's own place."""
    place = file.tell()
    try:
        file.seek(offset)
        return file.read(min(size, LONGEST_LABEL))
    finally:
        file.seek(place)


def _require_end(file: BinaryIO, offset: int) -> None:
    """Raise ValueError where an archive does not end as archives do: with a block of zeros.

    `tarfile` takes a damaged header in the middle, and an archive that ends between two members,
    for the end.
    """
    file.seek(offset)
    block = file.read(BLOCK)
    if len(block) < BLOCK or block.strip(b"\0"):
        raise ValueError(f"no end of the archive at byte {offset:,}")


def _split_name(name: str) -> tuple[str, str]:
    """A sample's name and what follows it, as WebDataset divides them; empty where nothing does."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return (f"{folder}{slash}{stem}", ending.lower()) if stem else ("", "")


def _add(found: Index, members: _Members, label: str, wanted: str) -> None:
    """Add a sample to an index, or what is wrong with it."""
    images = [e for e in members.places if f".{e.rpartition('.')[2]}" in ENDINGS]
    chosen = [e for e in members.places if e == wanted.lower()] if wanted else images
    if len(chosen) != 1:
        told = ", ".join([*members.places][:SHOWN])
        why = f"no image {wanted}".rstrip() if not chosen else f"{len(chosen)} images"
        found.offences.append(
            f"{members.key}: {why} among its members ({told}): "
            + ("set dataset.image to the one to show" if chosen else "add it, or leave it out")
        )
        return
    value: str | int | None = None
    if label != NO_LABELS:
        try:
            value = _label(members, label)
        except ValueError as error:
            found.offences.append(f"{members.key}: {error}")
            return
    key = f"{members.key}.{chosen[0]}"
    if not key.isprintable():
        found.offences.append(f"{key!r}: a name that is not printable UTF-8: rename it")
        return
    found.samples.append(Sample(key, members.places[chosen[0]], value))


def _label(members: _Members, label: str) -> str | int:
    """The class of a sample.

    Raises:
        ValueError: it has none; the message says what it has.
    """
    member, *fields = label.split(".")
    if member not in members.places:
        told = ", ".join([*members.places][:SHOWN])
        raise ValueError(
            f"no label: there is no member {member} beside {told}; add it, or set dataset.label "
            "to the member that holds it, or to none"
        )
    try:
        value: Any = members.small[member].decode().strip()
        if fields:
            value = json.loads(value)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ValueError(f"its member {member} cannot be read ({error}): fix it") from error
    for name in fields:
        if not isinstance(value, dict) or name not in value:
            there = ", ".join([*value][:SHOWN]) if isinstance(value, dict) else "no fields"
            raise ValueError(
                f"no label: its member json has no {name}, but {there}; set dataset.label to "
                "json.<field>"
            )
        value = value[name]
    return as_label(value, member)


def _look(path: Path) -> str:
    """Why a file is no whole archive, by its first and its last bytes; empty where it may be."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(257)
            magic = file.read(5)
            file.seek(max(size - 2 * BLOCK, 0))
            end = file.read()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if magic != b"ustar":
        return "no tar archive by its first bytes: fetch it again, or decompress it"
    if size % BLOCK or end.strip(b"\0"):
        return f"cut off: it ends at byte {size:,} without the two empty blocks: fetch it again"
    return ""


def _refuse(path: PurePosixPath) -> str:
    """Compressed archives are refused: their members lie at no place that is known."""
    if re.search(r"[.](tar[.](gz|bz2|xz|zst)|tgz|tbz2?|txz)$", path.name.lower()):
        return "a compressed archive, of which no image can be read alone: decompress it to .tar"
    return ""


FORM = shards.Form(
    kind="webdataset",
    is_shard=lambda path: path.suffix.lower() == ".tar",
    refuse=_refuse,
    look=_look,
    index=index,
    label_key="label",
)
