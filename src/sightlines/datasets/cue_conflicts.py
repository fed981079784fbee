"""Command: lists the images whose outline and surface are of different classes (cue conflicts).

Of a generated dataset they lie beside its other images. Photographs are found in a folder as
Geirhos et al. (2019) give theirs: `<shape><n>-<texture><n>.png`, such as `cat3-clock2.png`, in
folders or not; each word is a category. What is listed, and no more, is shown to networks.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sightlines.core.errors import DataError, MissingSourceError
from sightlines.core.file_hashes import UNREADABLE, hash_files
from sightlines.core.files import read_table, sha256, write_tensors
from sightlines.datasets.imagefolder_entries import HIDDEN
from sightlines.datasets.imagefolder_scan import ENDINGS, raise_offences
from sightlines.datasets.store import checked_file, read_dataset
from sightlines.jobs.command import Job, run

NAMED = re.compile(r"([a-z]+)(\d+)-([a-z]+)(\d+)")
"""A file's name without its ending."""
SUBSETS = ("conflict", "silhouette")
"""Of generated images: those with a conflict, and those without a surface."""
FORM = "<shape><n>-<texture><n>.png"


class Photograph(NamedTuple):
    """One photograph: its path below the folder, and the categories that its name says."""

    path: str
    shape: str
    texture: str


def scan(root: Path) -> tuple[list[Photograph], list[str]]:
    """List a folder without opening a photograph, sorted by path; and all that is wrong with it.

    Hidden files are passed over. A file that is no image by its ending, or not named as it should
    be, is an offence; so are a folder that cannot be listed, and a link that leads out of the
    folder: what is shown is what lies here.

    Raises:
        MissingSourceError: there is no such folder.
    """
    if not root.is_dir():
        raise MissingSourceError(
            f"there is no folder of cue conflicts {root}: set conflicts.folder to a folder below "
            f"data_root (or below SIGHTLINES_DATA) with images named {FORM}"
        )
    found: list[Photograph] = []
    offences: list[str] = []
    seen = set()
    home = root.resolve()

    def unreadable(error: OSError) -> None:
        place = Path(error.filename or root).relative_to(root).as_posix()
        offences.append(
            f"{place}: cannot be listed ({error.strerror}): mend its permissions, or remove it"
        )

    for folder, below, names in os.walk(root, onerror=unreadable, followlinks=True):
        if (real := Path(folder).resolve()) in seen:  # a link leads up again
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith(HIDDEN))
        names[:] = sorted(name for name in names if not name.startswith(HIDDEN))
        away = {name for name in (*below, *names) if _leads_away(Path(folder) / name, home)}
        offences += [
            f"{(Path(folder) / name).relative_to(root).as_posix()}: a link that leads out of the "
            "folder: put what it leads to in its place, or remove it"
            for name in sorted(away)
        ]
        below[:] = [name for name in below if name not in away]
        for name in (name for name in names if name not in away):
            place = (Path(folder) / name).relative_to(root).as_posix()
            stem, _, ending = name.rpartition(".")
            match = NAMED.fullmatch(stem)
            if f".{ending.lower()}" not in ENDINGS:
                offences.append(f"{place}: no image by its ending")
            elif match is None:
                offences.append(f"{place}: not named {FORM}, such as cat3-clock2.png")
            else:
                found.append(Photograph(place, match[1], match[3]))
    shapes = {photograph.shape for photograph in found}
    textures = {photograph.texture for photograph in found}
    for which, alone in (("texture", textures - shapes), ("shape", shapes - textures)):
        offences += [
            f"{photograph.path}: {getattr(photograph, which)} is the {which} of an image and the "
            f"{'shape' if which == 'texture' else 'texture'} of none: is it misspelt?"
            for photograph in found
            if getattr(photograph, which) in alone
        ]
    if not found and not offences:
        offences.append(f"it has no image named {FORM}")
    return sorted(found), offences


def _leads_away(path: Path, home: Path) -> bool:
    """Whether a link leads out of a folder."""
    return path.is_symlink() and not path.resolve().is_relative_to(home)


def fingerprint(folder: str, source: Path) -> str:
    """Digest of the names and contents of a folder's photographs as they are now; "" without one.

    Args:
        folder: Below `source`; empty where the dataset has its own conflicts.
        source: Where image folders lie.

    Raises:
        DataError: the folder is missing, or all that is wrong with it, listed.
    """
    if not folder:
        return ""
    root = source / folder
    found, hashes = _listed(root)
    lines = [f"{p.path}\0{digest}\n" for p, digest in zip(found, hashes, strict=True)]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _listed(root: Path) -> tuple[list[Photograph], list[str]]:
    """Photographs of a folder, and their hashes.

    Raises:
        DataError: all that is wrong with it, listed.
    """
    found, offences = scan(root)
    hashes = hash_files(root, [photograph.path for photograph in found])
    offences += [
        f"{photograph.path}: it cannot be read"
        for photograph, digest in zip(found, hashes, strict=True)
        if digest == UNREADABLE
    ]
    raise_offences(root, offences)
    return found, hashes


def of_folder(root: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and description of the photographs of a folder.

    Returns:
        `shape.conflict` and `texture.conflict` [images], places among `categories`; and these, the
        photographs' paths and hashes.

    Raises:
        DataError: see `fingerprint`.
    """
    found, hashes = _listed(root)
    categories = sorted({photograph.shape for photograph in found})
    places = {name: place for place, name in enumerate(categories)}
    tensors = {
        "shape.conflict": np.array([places[p.shape] for p in found], np.int64),
        "texture.conflict": np.array([places[p.texture] for p in found], np.int64),
    }
    described = {"paths": [p.path for p in found], "sha256": hashes, "categories": categories}
    return tensors, {"subsets": ["conflict"], **described}


def of_dataset(
    path: Path, facts: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The same of a generated dataset, whose classes are the categories.

    `cue_match` is the share of its test images whose surface is their class's own: at 1 both cues
    say the class equally well, below it the outline says more.

    Raises:
        DataError: it has no conflicts.
    """
    kept = [name for name in SUBSETS if f"{name}_truth.parquet" in facts["files"]]
    kept = [name for name in kept if facts.get(f"{name}_images", 0)]
    if "conflict" not in kept:
        raise DataError(
            f"{path.parent} has no images with a cue conflict: raise dataset.n_conflict, or set "
            "conflicts.folder"
        )
    tensors = {}
    for name in kept:
        truth = read_table(checked_file(path, facts, f"{name}_truth.parquet"))
        tensors[f"shape.{name}"] = truth["label"].to_numpy(np.int64)
        if name == "conflict":
            tensors[f"texture.{name}"] = truth["texture"].to_numpy(np.int64)
    test = read_table(checked_file(path, facts, "test_truth.parquet"))
    match = float((test["label"] == test["texture"]).mean())
    return tensors, {"subsets": kept, "categories": facts["classes"], "cue_match": match}


def main(job: Job) -> None:
    """Write which images with a conflict there are, and what they show."""
    path, folder = job.input("dataset"), job.config["conflicts"]["folder"]
    if fingerprint(folder, job.source) != job.config["source"]:
        raise DataError(
            f"the images in {job.source / folder} changed since snakemake started: run it again"
        )
    facts = read_dataset(path)
    tensors, meta = of_folder(job.source / folder) if folder else of_dataset(path, facts)
    meta |= {"dataset_sha256": sha256(path), "folder": folder}
    write_tensors(job.output("splits"), tensors, meta)
    job.notes["images"] = {name: len(tensor) for name, tensor in tensors.items()}


if __name__ == "__main__":
    run(main)
