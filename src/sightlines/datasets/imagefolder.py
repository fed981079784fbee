"""`imagefolder`: your own photographs, one folder a class; streamed, never copied.

`<folder>/<class>/*`, or `<folder>/{train,val}/<class>/*`, where `val` serves as the test images.
Without `val`, a stratified share of each class does: the images whose contents have the smallest
hashes, so that adding one moves few others and copies of one stay together. Every photograph is
decoded once here; what is wrong is listed in one error, also a photograph that is there twice, in
train and in val or under two classes. `manifest.parquet` has each one's hash and is what DVC
tracks.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from sightlines.datasets.store import name_variant
from sightlines.errors import ConfigError

SETTINGS: dict[str, dict[str, Any]] = {
    "folder": {
        "description": "Folder of the photographs, relative to data_root.",
        "type": "string",
        "minLength": 1,
    },
    "size_px": {
        "description": "Width and height to which photographs are scaled and cropped.",
        "unit": "px",
        "type": "integer",
        "minimum": 16,
        "maximum": 1024,
        "default": 224,
    },
    "test_share": {
        "description": "Share of each class that becomes test images when there is no val folder.",
        "type": "number",
        "exclusiveMinimum": 0,
        "exclusiveMaximum": 1,
        "default": 0.2,
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
        "description": "Level that is white in photographs of more than 8 bits: 1023 where a "
        "camera of 10 bits wrote files of 16. auto: by what files say of their bits and by the "
        "largest level of the folder; what was taken is in tables/dataset.json.",
        "oneOf": [{"enum": ["auto"]}, {"type": "integer", "minimum": 255, "maximum": 65535}],
        "default": "auto",
    },
}

REQUIRED = ("folder",)

ADDED = ("max_megapixels", "white_level")
"""Settings that name no other variant while they have their defaults."""

FILES = ("dataset.json", "manifest.parquet")

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def variant(settings: Mapping[str, Any]) -> str:
    """Folder name below `data/`: with the photographs' folder in it."""
    name = PurePosixPath(settings["folder"]).name
    defaults = _complete({})
    known = {k: v for k, v in settings.items() if k not in ADDED or v != defaults[k]}
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in name).strip("-").lower()
    return name_variant(f"imagefolder-{plain or 'images'}", known)


def check(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Size in px of an image, and 0: the number of classes is not known before the folder is read.

    Raises:
        ConfigError: `folder` leads out of data_root.
    """
    folder = PurePosixPath(settings["folder"])
    if folder.is_absolute() or ".." in folder.parts or "\0" in settings["folder"]:
        raise ConfigError(
            f"dataset.folder is {settings['folder']!r}: it must be a path below data_root, neither "
            "absolute nor with '..'. Set data_root (or SIGHTLINES_DATA) to the folder above it."
        )
    return settings["size_px"], 0


def counts(_settings: Mapping[str, Any]) -> dict[str, int]:
    """Images of each split: not known before the folder is read."""
    return {}


def fingerprint(settings: Mapping[str, Any], source: Path) -> str:
    """Digest of the names and contents of all photographs as they are now.

    Raises:
        DataError: the folder is missing; or, if a look at names and hashes alone finds something
            wrong, all that is wrong with it and its images, listed: a job that failed for it would
            lose the dataset of before.
    """
    import logging

    from sightlines.datasets.imagefolder_manifest import make_manifest, repeats
    from sightlines.datasets.imagefolder_scan import raise_offences, scan
    from sightlines.file_hashes import UNREADABLE, hash_files

    check(settings)
    root = source / settings["folder"]
    listing = scan(root)
    paths = [image[2] for image in listing.images]
    hashes = [] if listing.offences else hash_files(root, paths)
    readable = [p for p in zip(listing.images, hashes, strict=False) if p[1] != UNREADABLE]
    if listing.offences or repeats(readable):
        log = logging.getLogger("sightlines")
        manifest = make_manifest(listing, _complete(settings), log)
        raise_offences(root, listing.offences + manifest.offences)
    lines = [f"{p}\0{h}\n" for p, h in zip(paths, hashes, strict=True)]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def prepare(settings: Mapping[str, Any], source: Path, out: Path, log: Any) -> None:
    """Decode every photograph once and write FILES into `out`.

    Raises:
        DataError: the folder is missing; or all that is wrong with it and its images, listed.
    """
    from sightlines.datasets.imagefolder_manifest import make_manifest, report_oddities
    from sightlines.datasets.imagefolder_scan import raise_offences, scan
    from sightlines.datasets.store import write_dataset
    from sightlines.files import make_folder, write_table

    size_px, _ = check(settings)
    root = source / settings["folder"]
    listing = scan(root)
    if listing.ignored:
        log.info(f"passed over {listing.ignored} text files in {root}")
    manifest = make_manifest(listing, _complete(settings), log)
    raise_offences(root, listing.offences + manifest.offences)
    report_oddities(manifest, log)
    make_folder(out)
    (out / "dataset.json").unlink(missing_ok=True)
    write_table(out / "manifest.parquet", manifest.table)
    counts = manifest.table["split"].value_counts()
    write_dataset(
        out,
        ["manifest.parquet"],
        {
            "kind": "imagefolder",
            "storage": "photographs",
            "classes": sorted({image[1] for image in listing.images}),
            "size_px": size_px,
            "mean": list(MEAN),
            "std": list(STD),
            "counts": {split: int(counts.get(split, 0)) for split in ("train", "test")},
            "folder": settings["folder"],
            "has_val": listing.has_val,
            **({"white_levels": manifest.white_levels} if manifest.white_levels else {}),
        },
    )


def _complete(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the defaults of those that are left out."""
    defaults = {k: node["default"] for k, node in SETTINGS.items() if "default" in node}
    return defaults | dict(settings)
