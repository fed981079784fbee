"""Writes CIFAR-10 or CIFAR-100 in sightlines' own form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightlines.core.files import make_folder, require_free_space, write_npy
from sightlines.datasets.cifar_archive import Release, class_names, decode_images, load_members
from sightlines.datasets.store import write_dataset


def write_cifar(
    release: Release,
    source: Path,
    out: Path,
    labels_key: str,
    names_key: str,
    facts: Mapping[str, Any],
    log: Any,
) -> None:
    """Read `release` and write images, labels and `dataset.json` into `out`.

    Args:
        release: Which archive, and what is in it.
        source: Where it lies, or is put by a download.
        out: The dataset's folder.
        labels_key: Key of the labels in a batch.
        names_key: Key of the class names in the meta file.
        facts: Kind, mean and standard deviation for `dataset.json`.
        log: Progress.

    Raises:
        DataError: the archive is missing without a network, damaged or not the official one.
        DiskError: too little room.
    """
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
