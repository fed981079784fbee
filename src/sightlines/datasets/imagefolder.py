"""`imagefolder`: your own photographs, one folder a class; streamed, never copied.

`<folder>/<class>/*`, or `<folder>/{train,val}/<class>/*`, where `val`, or `test`, serves as the
test images. Else a stratified share of each class does: the images whose contents have the smallest
hashes, so that adding one moves few others and copies of one stay together. Every photograph is
decoded once here; what is wrong is listed in one error, also a photograph that is there twice, in
train and in val or under two classes. `manifest.parquet` has each one's hash and is what DVC
tracks.

Where nothing that is asked for needs labels, photographs may lie without classes, or in classes
that are too few or too small to be learned: then classes do not count when images are divided.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from sightlines.core.data_root import require_below
from sightlines.datasets.imagefolder_splits import part_of
from sightlines.datasets.store import UNLABELLED, name_variant

if TYPE_CHECKING:
    from sightlines.datasets.imagefolder_scan import Listing

SETTINGS: dict[str, dict[str, Any]] = {
    "folder": {
        "description": "Folder of the photographs, relative to data_root.",
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
    "test_share": {
        "description": "Share of each class that becomes test images where no folders train and "
        "val or test divide the photographs.",
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
    "test_folder": {
        "description": "Which folder serves as the test images where val and test lie beside "
        "train: val, unless this says test. The other one is not read.",
        "enum": ["val", "test"],
    },
    "masks": {
        "description": "Folder of masks of the objects in the test photographs, relative to "
        "data_root: images named like the photographs and of their size, with a palette (as in "
        "PASCAL VOC: 0 background, 255 not labelled), trimaps (as in the Oxford pets: 1 object, 2 "
        "background, 3 not labelled) or black and white.",
        "type": "string",
        "minLength": 1,
        "x-path": [],
    },
}

REQUIRED = ("folder",)
LABELS_OPTIONAL = True
"""`fingerprint` asks what labels are needed for, and can do without them."""
TRAINING = ("networks are trained",)
NAMED_AS_EVER = {"train": "train", "test": "val"}

ADDED = ("max_megapixels", "white_level")
"""Settings that name no other variant while they have their defaults."""
BESIDE = ("masks",)
"""Settings that are about something beside the photographs, and change nothing of them."""

FILES = ("dataset.json", "manifest.parquet")

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def variant(settings: Mapping[str, Any]) -> str:
    """Folder name below `data/`: with the photographs' folder in it."""
    name = PurePosixPath(settings["folder"]).name
    defaults = _complete({})
    own = {k: v for k, v in settings.items() if k not in BESIDE}
    known = {k: v for k, v in own.items() if k not in ADDED or v != defaults[k]}
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in name).strip("-").lower()
    return name_variant(f"imagefolder-{plain or 'images'}", known)


def check(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Size in px of an image, and 0: the number of classes is not known before the folder is read.

    Raises:
        ConfigError: `folder` or `masks` leads out of data_root.
    """
    require_below(settings["folder"], "dataset.folder")
    require_below(settings.get("masks", ""), "dataset.masks")
    return settings["size_px"], 0


def counts(_settings: Mapping[str, Any]) -> dict[str, int]:
    """Images of each split: not known before the folder is read."""
    return {}


def fingerprint(
    settings: Mapping[str, Any], source: Path, labels_for: Sequence[str] = TRAINING
) -> str:
    """Digest of the names and contents of all photographs as they are now.

    Args:
        settings: The dataset's config.
        source: The folder that its folder lies in.
        labels_for: What labels are needed for, in words; empty where they are not.

    Returns:
        The digest; with UNLABELLED behind it where classes do not count, because they are not
        needed and could not be learned.

    Raises:
        DataError: the folder is missing; or, if a look at names and hashes alone finds something
            wrong, all that is wrong with it and its images, listed: a job that failed for it would
            lose the dataset of before.
    """
    from sightlines.core.file_hashes import UNREADABLE, hash_files
    from sightlines.datasets.imagefolder_manifest import make_manifest, repeats, shortages
    from sightlines.datasets.imagefolder_scan import raise_offences

    listing = _list(settings, source)
    offences = listing.offences + (listing.label_offences if labels_for else [])
    paths = [image[2] for image in listing.images]
    hashes = [] if offences else hash_files(listing.root, paths)
    readable = [p for p in zip(listing.images, hashes, strict=False) if p[1] != UNREADABLE]
    few = bool(offences or listing.label_offences or shortages(readable, listing.folders))
    is_labelled = bool(labels_for) or not few
    wrong = repeats(readable, listing.folders)
    if offences or wrong or shortages(readable, listing.folders, is_labelled):
        manifest = make_manifest(listing, _complete(settings), is_labelled)
        raise_offences(listing.root, offences + manifest.offences, _hint(listing, labels_for))
    lines = [f"{p}\0{h}\n" for p, h in zip(paths, hashes, strict=True)]
    digest = hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return digest if is_labelled else digest + UNLABELLED


def prepare(
    settings: Mapping[str, Any], source: Path, out: Path, log: Any, is_labelled: bool = True
) -> None:
    """Decode every photograph once and write FILES into `out`.

    Args:
        settings: The dataset's config.
        source: The folder that its folder lies in.
        out: Where FILES go.
        log: What is passed over, and progress.
        is_labelled: Whether classes count; if not, images are divided without regard to them.

    Raises:
        DataError: the folder is missing; or all that is wrong with it and its images, listed.
    """
    from sightlines.core.files import make_folder, write_table
    from sightlines.datasets.imagefolder_manifest import class_names, make_manifest, report_oddities
    from sightlines.datasets.imagefolder_scan import raise_offences
    from sightlines.datasets.store import write_dataset

    size_px, _ = check(settings)
    listing = _list(settings, source)
    _tell(listing, is_labelled, log)
    manifest = make_manifest(listing, _complete(settings), is_labelled)
    offences = listing.offences + (listing.label_offences if is_labelled else [])
    raise_offences(
        listing.root,
        offences + manifest.offences,
        _hint(listing, TRAINING if is_labelled else ()),
    )
    report_oddities(manifest, log)
    make_folder(out)
    (out / "dataset.json").unlink(missing_ok=True)
    write_table(out / "manifest.parquet", manifest.table)
    counts = manifest.table["split"].value_counts()
    facts: dict[str, Any] = {
        "kind": "imagefolder",
        "storage": "photographs",
        "classes": class_names(listing),
        "size_px": size_px,
        "mean": list(MEAN),
        "std": list(STD),
        "counts": {split: int(counts.get(split, 0)) for split in ("train", "test")},
        "folder": settings["folder"],
        "has_val": listing.is_divided,
    }
    if listing.folders not in ({}, NAMED_AS_EVER):
        facts["folders"] = listing.folders  # not those that are not read: no digest covers them
    if manifest.white_levels:
        facts["white_levels"] = manifest.white_levels
    if not is_labelled:
        facts["stratified"] = False
    write_dataset(out, ["manifest.parquet"], facts)


def _complete(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the defaults of those that are left out."""
    defaults = {k: node["default"] for k, node in SETTINGS.items() if "default" in node}
    return defaults | dict(settings)


def _list(settings: Mapping[str, Any], source: Path) -> "Listing":
    from sightlines.datasets.imagefolder_scan import scan

    check(settings)
    return scan(source / settings["folder"], settings.get("test_folder", ""))


def _hint(listing: "Listing", labels_for: Sequence[str]) -> str:
    """What else helps where there are too few classes: to do without them."""
    if not labels_for or not listing.lacks_classes:
        return ""
    return (
        f"Labels are needed because {' and '.join(labels_for)}. Imported networks (models with "
        "weights) need none, where nothing is trained and splits.probe_train, probe_held_out and "
        "probe_test are 0."
    )


def _tell(listing: "Listing", is_labelled: bool, log: Any) -> None:
    """Log what a folder is taken for, and what of it is not read."""
    from sightlines.datasets.imagefolder_entries import describe_passed

    if listing.folders:
        log.info(f"training images: {listing.folders['train']}; test: {listing.folders['test']}")
    for name in listing.unused:
        other = f"dataset.test_folder: {part_of(name)}"
        log.info(f"{name} is not read; {other} would make it the test images")
    if listing.passed:
        log.info(f"passed over in {listing.root}: {describe_passed(listing.passed)}")
    if not is_labelled:
        shown = "; ".join(listing.label_offences[:3]) or "copies of one photograph"
        log.info(f"classes do not count, as nothing needs labels ({shown})")
