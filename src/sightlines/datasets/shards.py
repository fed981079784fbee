"""What datasets in shards share: many photographs in one file, read where they lie.

A kind of dataset says how its shards are called and indexed (`Form`); here they are listed,
divided, labelled and examined as photographs in folders are. Nothing is unpacked: the manifest
tells for each photograph its shard and its place in it, and `shard_reading` gives its bytes. They
are in the order of the shards' paths, and of their places in a shard.

Names of shards, or of folders above them, divide photographs: `train-00000-of-00040.parquet`,
`val/000.tar` (`imagefolder_splits` has the words). Where they do not, a share of each class is for
testing.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from sightlines.core.data_root import require_below
from sightlines.core.errors import DataError, MissingSourceError
from sightlines.core.file_hashes import UNREADABLE, hash_files
from sightlines.core.files import make_folder, write_table
from sightlines.datasets.imagefolder import MEAN, STD
from sightlines.datasets.imagefolder_entries import list_folder
from sightlines.datasets.imagefolder_scan import Listing, check_classes, raise_offences
from sightlines.datasets.imagefolder_splits import part_of
from sightlines.datasets.shard_reading import open_shards
from sightlines.datasets.store import UNLABELLED, name_variant, write_dataset

TRAINING = ("networks are trained",)
NO_LABELS = "none"
DEEPEST = 8
"""Folders below each other in which shards are looked for."""


@dataclass(frozen=True)
class Sample:
    """One photograph of a shard.

    Attributes:
        key: Its name in the shard.
        place: Where its bytes are, as its reader understands it.
        label: Its class, by name or number; None: it has none.
    """

    key: str
    place: int
    label: str | int | None = None


@dataclass
class Index:
    """What a shard holds, found without decoding a photograph.

    Attributes:
        samples: In their order.
        names: Class names by number, where the shard tells them.
        offences: What is wrong, one line each, without the shard's name.
    """

    samples: list[Sample] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    offences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Form:
    """One form of shards.

    Attributes:
        kind: Of the dataset.
        is_shard: Whether a file, by its path, is one.
        refuse: Why a file beside the shards, by its path, should be one and is none; empty: it is
            something else, and passed over.
        look: Why a shard cannot be read, by a short look at its path; empty where it may be.
        index: What a shard holds, by its path and the dataset's settings.
        label_key: The setting that names what holds the labels; NO_LABELS there: nothing does.
        facts: Settings that `dataset.json` keeps for the reader.
    """

    kind: str
    is_shard: Callable[[PurePosixPath], bool]
    refuse: Callable[[PurePosixPath], str]
    look: Callable[[Path], str]
    index: Callable[[Path, Mapping[str, Any]], Index]
    label_key: str
    facts: tuple[str, ...] = ()


def as_label(value: Any, where: str) -> str | int:
    """A class by name or number.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    if isinstance(value, str) and value.strip() and len(value) < 256:
        return value.strip()
    raise ValueError(
        f"no label: its {where} holds {str(value)[:40]!r}: a name or a number is meant"
    )


def variant(kind: str, settings: Mapping[str, Any]) -> str:
    """Folder name below `data/`: with the shards' folder in it."""
    name = PurePosixPath(settings["folder"]).name
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in name).strip("-").lower()
    return name_variant(f"{kind}-{plain or 'images'}", settings)


def check(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Size in px of an image, and 0: the number of classes is not known before shards are read.

    Raises:
        ConfigError: a path leads out of data_root.
    """
    for key in ("folder", "class_names"):
        require_below(settings.get(key, ""), f"dataset.{key}")
    return settings["size_px"], 0


def fingerprint(
    form: Form, settings: Mapping[str, Any], source: Path, labels_for: Sequence[str]
) -> str:
    """Digest of the names and contents of all shards as they are now.

    Args:
        form: Of the shards.
        settings: The dataset's config.
        source: The folder that its folder lies in.
        labels_for: What labels are needed for, in words; empty where they are not.

    Returns:
        The digest; with UNLABELLED behind it where the config says that there are no labels.

    Raises:
        DataError: the folder is missing; or all that a short look finds wrong with its shards.
    """
    found = find(form, settings, source)
    offences = found.offences + [
        f"{shard}: {why}" for shard in found.split_of if (why := form.look(found.root / shard))
    ]
    has_labels = settings[form.label_key] != NO_LABELS
    if labels_for and not has_labels:
        offences.append(
            f"dataset.{form.label_key} is {NO_LABELS}, but labels are needed because "
            f"{' and '.join(labels_for)}: name what holds them"
        )
    named = [settings["class_names"]] if settings.get("class_names") else []
    paths = [*found.split_of, *named]
    hashes = [] if offences else hash_files(found.root, paths)
    offences += [
        f"{p}: cannot be read, or is no file"
        for p, h in zip(paths, hashes, strict=False)
        if h == UNREADABLE
    ]
    raise_offences(found.root, offences)
    lines = [f"{p}\0{h}\n" for p, h in zip(paths, hashes, strict=True)]
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()[:16]
    return digest if has_labels else digest + UNLABELLED


def prepare(
    form: Form,
    settings: Mapping[str, Any],
    source: Path,
    out: Path,
    log: Any,
    is_labelled: bool = True,
) -> None:
    """Index all shards, decode every photograph once, and write the dataset's files into `out`.

    Args:
        form: Of the shards.
        settings: The dataset's config, complete.
        source: The folder that its folder lies in.
        out: Where the files go.
        log: What is passed over, and progress.
        is_labelled: Whether classes count; if not, images are divided without regard to them.

    Raises:
        DataError: the folder is missing; or all that is wrong with its shards and photographs.
    """
    import pandas as pd

    from sightlines.datasets.imagefolder_manifest import class_names, make_manifest, report_oddities

    size_px, _ = check(settings)
    found = find(form, settings, source)
    log.info(f"{len(found.split_of):,} shards in {found.root}: {found.describe()}")
    listing, places = index_all(form, settings, found, is_labelled)
    own = {key: settings[key] for key in form.facts}
    reader = open_shards(form.kind, found.root, places, settings)
    manifest = make_manifest(listing, settings, is_labelled, reader.read)
    offences = listing.offences + (listing.label_offences if is_labelled else [])
    copies = any("the same photograph as" in offence for offence in manifest.offences)
    hint = "dataset.repeats: keep takes photographs that are there twice as they are." * copies
    raise_offences(listing.root, offences + manifest.offences, hint)
    report_oddities(manifest, log)
    make_folder(out)
    (out / "dataset.json").unlink(missing_ok=True)
    table = pd.concat([manifest.table, places[["shard", "place"]]], axis=1)
    write_table(out / "manifest.parquet", table)
    counts = table["split"].value_counts()
    facts: dict[str, Any] = {
        "kind": form.kind,
        "storage": "shards",
        "classes": class_names(listing),
        "size_px": size_px,
        "mean": list(MEAN),
        "std": list(STD),
        "counts": {split: int(counts.get(split, 0)) for split in ("train", "test")},
        "shards": len(found.split_of),
        "folder": settings["folder"],
        "has_val": listing.is_divided,
        **own,
    }
    if listing.is_divided:
        facts["folders"] = listing.folders
    if manifest.white_levels:
        facts["white_levels"] = manifest.white_levels
    if not is_labelled:
        facts["stratified"] = False
    write_dataset(out, ["manifest.parquet"], facts)


@dataclass(frozen=True)
class Found:
    """The shards of a folder.

    Attributes:
        root: The folder.
        split_of: ``train``, ``test`` or, where names do not divide them, empty, by the path of
            each shard below the root, sorted.
        parts: Part of the names (train, val, test) by split; empty where they do not divide.
        unused: Number of shards of a part that is not read, by part.
        offences: What is wrong, one line each.
    """

    root: Path
    split_of: dict[str, str]
    parts: dict[str, str]
    unused: dict[str, int]
    offences: list[str]

    def describe(self) -> str:
        """Which shards are for what, in words."""
        if not self.parts:
            return "their names do not divide them, so that a share of each class is for testing"
        told = [
            f"{part} ({sum(s == split for s in self.split_of.values()):,}) for {split}"
            for split, part in self.parts.items()
        ]
        told += [f"{part} ({count:,}) is not read" for part, count in self.unused.items()]
        return ", ".join(told)


def find(form: Form, settings: Mapping[str, Any], source: Path) -> Found:
    """List the shards below a dataset's folder, and divide them by their names.

    Raises:
        MissingSourceError: the folder is missing.
        DataError: a folder cannot be read.
    """
    check(settings)
    root = source / settings["folder"]
    if not root.is_dir():
        raise MissingSourceError(
            f"there is no folder {root}: set dataset.folder to the folder of the shards, below "
            "data_root (or below SIGHTLINES_DATA)"
        )
    shards, offences = _walk(form, root)
    if not shards and not offences:
        offences.append(f"no shards of {form.kind} in it: set dataset.folder to their folder")
    part_of_shard = {}
    for shard in shards:
        words = [part_of(w) for w in re.split(r"[-_. /]+", shard)]
        parts = {part for part in words if part}
        if len(parts) > 1:
            told = " and ".join(sorted(parts))
            offences.append(f"{shard}: {told} by its name: rename it, or its folder")
        part_of_shard[shard] = next(iter(parts), "")
    wanted = settings.get("test_split", "")
    counts = Counter(part_of_shard.values())
    is_divided = counts["train"] > 0 and counts["val"] + counts["test"] > 0
    if not is_divided:
        if wanted:
            offences.append(
                f"dataset.test_split asks for {wanted}, but no names of shards divide them into "
                f"train and {wanted}: leave the key out"
            )
        return Found(root, dict.fromkeys(shards, ""), {}, {}, offences)
    chosen = wanted or ("val" if counts["val"] else "test")
    if not counts[chosen]:
        offences.append(f"dataset.test_split asks for {chosen}, but no shard is called so")
    offences += [
        f"{shard}: neither train nor {chosen} by its name, as others are: rename it or move it"
        for shard, part in part_of_shard.items()
        if not part
    ]
    splits = {"train": "train", chosen: "test"}
    split_of = {s: splits[p] for s, p in part_of_shard.items() if p in splits}
    unused = {p: n for p, n in sorted(counts.items()) if p and p not in splits}
    return Found(root, split_of, {"train": "train", "test": chosen}, unused, offences)


def _walk(form: Form, root: Path) -> tuple[list[str], list[str]]:
    """Paths of the shards below a folder, sorted, and what is wrong."""
    shards, offences, passed = [], [], Counter[str]()
    folders = [""]
    while folders:
        folder = folders.pop()
        for entry in list_folder(root, folder, passed):
            path = PurePosixPath(entry.place)
            if entry.is_folder and not entry.offence:
                if len(path.parts) > DEEPEST:
                    offences.append(f"{path}: more than {DEEPEST} folders below each other")
                else:
                    folders.append(entry.place)
            elif form.is_shard(path):
                shards.append(entry.place)
                offences += [f"{path}: {entry.offence}"] * bool(entry.offence)
            elif why := form.refuse(path):
                offences.append(f"{path}: {why}")
    return sorted(shards, key=lambda shard: shard.encode("utf-8", "surrogateescape")), offences


def index_all(
    form: Form, settings: Mapping[str, Any], found: Found, is_labelled: bool = True
) -> tuple[Listing, Any]:
    """What all shards hold.

    Args:
        form: Of the shards.
        settings: The dataset's config.
        found: The shards.
        is_labelled: Whether classes count.

    Returns:
        The photographs as a folder's are listed, and a table with the columns shard, path and
        place of each.
    """
    import pandas as pd

    listing = Listing(found.root, folders=dict(found.parts), offences=list(found.offences))
    rows, labels, names = [], [], _class_names(settings, found.root)
    told_by = f"dataset.class_names ({settings['class_names']})" if names else ""
    for shard, split in found.split_of.items():
        why = form.look(found.root / shard)
        index = Index(offences=[why]) if why else form.index(found.root / shard, settings)
        listing.offences += [f"{shard}: {offence}" for offence in index.offences]
        if not index.samples and not index.offences:
            listing.offences.append(f"{shard}: an empty shard, without a single image: remove it")
        if is_labelled and index.names and not names:
            names, told_by = index.names, shard
        elif index.names and told_by in found.split_of and index.names != names:
            listing.offences.append(f"{shard}: other class names than in {told_by}: unify them")
        for sample in index.samples:
            rows.append((split, shard, f"{shard}/{sample.key}", sample.place))
            labels.append(sample.label if is_labelled else None)
    classes, wrong = _name_classes(labels, names, told_by)
    listing.offences += [f"{rows[i][2]}: {why}" for i, why in wrong.items()]
    for (split, _, path, _), name in zip(rows, classes, strict=True):
        listing.images.append((split, name, path))
    for split in found.parts or ("",):
        listing.classes[split] = sorted({n for s, n, _ in listing.images if s == split and n})
    present = {name for name in classes if name}
    listing.class_order = _in_order(present, names)
    if not wrong and not listing.offences:
        check_classes(listing)
    table = pd.DataFrame(rows, columns=["split", "shard", "path", "place"])
    return listing, table[["shard", "path", "place"]]


def _class_names(settings: Mapping[str, Any], root: Path) -> list[str]:
    """Lines of the file of class names; empty where the config names none.

    Raises:
        DataError: it cannot be read, or names a class twice.
    """
    if not settings.get("class_names"):
        return []
    path = root / settings["class_names"]
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read {path}, which dataset.class_names names: {error}. It must be a text file "
            "with one name a line, the first that of label 0."
        ) from error
    names = [line.strip() for line in lines if line.strip()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{path} names {', '.join(map(repr, twice[:5]))} twice: keep one of each")
    return names


def _name_classes(
    labels: Sequence[str | int | None], names: Sequence[str], told_by: str
) -> tuple[list[str], dict[int, str]]:
    """The class name of each label, empty where there is none; and what is wrong, by its place."""
    known, found, wrong = set(names), [], {}
    for place, label in enumerate(labels):
        name = "" if label is None else str(label)
        if isinstance(label, int) and names:
            if not 0 <= label < len(names):
                wrong[place] = f"label {label}, but {told_by} has {len(names)} names: mend it"
            else:
                name = names[label]
        elif isinstance(label, int) and label < 0:
            wrong[place] = f"label {label}, which stands for none: leave the image out"
        elif isinstance(label, str) and names and label not in known:
            wrong[place] = f"label {label!r}, which is not among the names of {told_by}: mend it"
        found.append("" if place in wrong else name)
    return found, wrong


def _in_order(present: set[str], names: Sequence[str]) -> list[str]:
    """Class names in the order of their labels: as told, else by number, else by name."""
    if names:
        return [name for name in names if name in present]
    if all(name.isdecimal() for name in present):
        return sorted(present, key=lambda name: (int(name), name))
    return sorted(present)
