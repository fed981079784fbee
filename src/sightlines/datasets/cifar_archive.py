"""CIFAR's official python archives: found, verified and read without unpacking to disk.

Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images";
https://www.cs.toronto.edu/~kriz/cifar.html. No licence is stated there; free for research.
"""

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from sightlines.core.errors import DataError
from sightlines.core.files import make_folder, require_free_space, write_npy
from sightlines.datasets.cifar_release import Release
from sightlines.datasets.download import download, md5_of
from sightlines.datasets.store import write_dataset
from sightlines.datasets.unpickling import read_pickle

MEMBER_BYTES = 1 << 30
PIXELS = 3 * 32 * 32


def write_release(
    release: Release,
    source: Path,
    out: Path,
    keys: tuple[str, str],
    facts: Mapping[str, Any],
    log: Any,
) -> None:
    """Read a release and write images, labels and `dataset.json` into `out`.

    Args:
        release: Which archive, and what is in it.
        source: Where it lies, or is put by a download.
        out: The dataset's folder.
        keys: Of the labels in a batch, and of the class names in the meta file.
        facts: Kind, mean and standard deviation for `dataset.json`.
        log: Progress.

    Raises:
        DataError: the archive is missing without a network, damaged or not the official one.
        DiskError: too little room.
    """
    labels_key, names_key = keys
    members = load_members(release, source, log)
    classes = class_names(members[release.meta], names_key, release.folder)
    decoded = {
        split: decode_images(
            {name: members[name] for name in batches}, labels_key, len(classes), release.folder
        )
        for split, batches in (("train", release.train), ("test", release.test))
    }
    require_free_space(out, sum(len(m.get("data", ())) for m in members.values()) * 3100, "CIFAR")
    make_folder(out)
    (out / "dataset.json").unlink(missing_ok=True)
    counts, names = {}, []
    for split, (images, labels) in decoded.items():
        write_npy(out / f"{split}_images.npy", images)
        write_npy(out / f"{split}_labels.npy", labels)
        names += [f"{split}_images.npy", f"{split}_labels.npy"]
        counts[split] = len(images)
        log.info(f"read {len(images)} {split} images")
    write_dataset(
        out,
        names,
        {**facts, "storage": "arrays", "classes": classes, "size_px": 32, "counts": counts},
    )


def load_members(release: Release, source: Path, log: Any) -> dict[str, dict[str, Any]]:
    """Contents of all members, from the unpacked folder, the archive, or a download.

    Args:
        release: What to read.
        source: Folder in which the unpacked folder or the archive lies, or is put.
        log: Progress of the download.

    Raises:
        DataError: missing without a network, damaged, wrong checksum, hostile.
    """
    folder, archive = source / release.folder, source / release.archive
    if folder.is_dir():
        contents = _read_folder(release, folder)
    else:
        if not archive.exists():
            cure = (
                f"Without a network, put {release.archive} (md5 {release.md5}) or its unpacked "
                f"folder {release.folder} into {source}"
            )
            log.info(f"fetching {release.url} to {archive}")
            download(release.url, archive, release.md5, cure, log)
        contents = _read_archive(release, archive)
    return {name: read_pickle(content, f"{name} of {release.folder}") for name, content in
            contents.items()}  # fmt: skip


def decode_images(
    batches: Mapping[str, Mapping[str, Any]], labels_key: str, classes: int, where: str
) -> tuple[UInt8[np.ndarray, "images 32 32 3"], Int64[np.ndarray, " images"]]:
    """Images and labels of consecutive batches, by their names.

    Raises:
        DataError: arrays that do not have the official form.
    """
    images, labels = [], []
    for name, batch in batches.items():
        pixels, own = batch.get("data"), batch.get(labels_key)
        is_right = (
            isinstance(pixels, np.ndarray)
            and pixels.ndim == 2
            and pixels.shape[1] == PIXELS
            and isinstance(own, list)
            and len(own) == len(pixels)
            and all(isinstance(label, int) and 0 <= label < classes for label in own)
        )
        if not is_right or pixels is None or own is None:
            raise DataError(
                f"{name} of {where} does not hold images of {PIXELS} bytes with one label below "
                f"{classes} each in {labels_key!r}. Fetch the official archive again."
            )
        images.append(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(np.array(own, np.int64))
    return np.ascontiguousarray(np.concatenate(images)), np.concatenate(labels)


def class_names(meta: Mapping[str, Any], key: str, where: str) -> list[str]:
    """Class names out of the meta file.

    Raises:
        DataError: the meta file has no such list.
    """
    names = meta.get(key)
    if not isinstance(names, list) or not all(isinstance(n, bytes | str) for n in names):
        raise DataError(
            f"{where}: the meta file has no list {key!r} of class names. "
            "Fetch the official archive again."
        )
    return [n.decode("ascii", "replace") if isinstance(n, bytes) else n for n in names]


def _read_folder(release: Release, folder: Path) -> dict[str, bytes]:
    contents, offences = {}, []
    for name, md5 in release.members.items():
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            offences.append(f"{name}: {error.strerror}")
            continue
        found = hashlib.md5(contents[name], usedforsecurity=False).hexdigest()
        if found != md5:
            offences.append(f"{name}: md5 {found} instead of {md5}")
    if offences:
        listed = "\n  ".join(offences)
        raise DataError(
            f"{folder} is not the official {release.folder}:\n  {listed}\n"
            f"Delete the folder, or unpack {release.archive} again."
        )
    return contents


def _read_archive(release: Release, archive: Path) -> dict[str, bytes]:
    """The members by name, straight out of the archive: nothing is unpacked to disk."""
    found = md5_of(archive) if archive.is_file() else "no file"
    if found != release.md5:
        raise DataError(
            f"{archive} has md5 {found} instead of {release.md5}: it is damaged, incomplete or "
            "another file. Delete it; snakemake fetches it again."
        )
    try:
        return _read_tar(release, archive)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{archive} cannot be read ({error}): it is damaged or incomplete. Delete it; "
            "snakemake fetches it again."
        ) from error


def _read_tar(release: Release, archive: Path) -> dict[str, bytes]:
    wanted = {f"{release.folder}/{name}": name for name in release.members}
    contents: dict[str, bytes] = {}
    with gzip.open(archive, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as pack:
        for member in pack:
            _require_harmless(member, archive)
            name = wanted.get(member.name)
            if name is None:
                continue
            if name in contents or member.size > MEMBER_BYTES:
                raise DataError(
                    f"{archive}: {member.name} is there twice or far too large: it is not the "
                    "official archive. Delete it; snakemake fetches it again."
                )
            handle = pack.extractfile(member) or io.BytesIO()
            contents[name] = handle.read()
            md5 = hashlib.md5(contents[name], usedforsecurity=False).hexdigest()
            if md5 != release.members[name]:
                raise DataError(
                    f"{archive}: {member.name} has md5 {md5} instead of {release.members[name]}: "
                    "it is not the official archive. Delete it; snakemake fetches it again."
                )
        while stream.read(1 << 20):  # the end of a gzip file has its checksum
            pass
    missing = [name for name in release.members if name not in contents]
    if missing:
        raise DataError(
            f"{archive} lacks {', '.join(missing)}: it is not the official archive. "
            "Delete it; snakemake fetches it again."
        )
    return contents


def _require_harmless(member: tarfile.TarInfo, archive: Path) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or not (member.isreg() or member.isdir()):
        raise DataError(
            f"{archive} holds {member.name!r}, which is a link, a device or leads out of the "
            "archive: it is not the official archive. Nothing of it was unpacked. Delete it."
        )
