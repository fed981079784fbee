"""Command: lists the masks of the test photographs, each of which is looked at once.

What is wrong with them is said here, all at once, before a network is trained or shown anything.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from sightlines.core.errors import DataError
from sightlines.core.files import read_json, write_table
from sightlines.datasets.photograph_masks import examine, fingerprint, hashes_of
from sightlines.datasets.store import read_dataset, read_manifest
from sightlines.jobs.command import Job, run

LISTED = 50
COLUMNS = ("image", "path", "sha256", "width_px", "height_px", "form")
"""Of the list: place among the test images, path relative to data_root, content, size of
photograph and mask, form of the mask."""


def masks_table(dataset_json: Path, root: Path, folder: str) -> Any:
    """One row a test image, with the columns COLUMNS.

    Args:
        dataset_json: The dataset.
        root: Where its sources lie.
        folder: Of the masks, below `root`.

    Raises:
        DataError: listing all that is wrong with the masks.
    """
    facts = read_dataset(dataset_json)
    manifest = read_manifest(dataset_json, facts, "test")
    sizes = manifest[["path", "width_px", "height_px"]].itertuples(index=False, name=None)
    paths, form, offences = examine(root / folder, list(sizes))
    if offences:
        listed = "\n  ".join(sorted(offences)[:LISTED])
        more = f"\n  … and {len(offences) - LISTED} more" if len(offences) > LISTED else ""
        raise DataError(
            f"{len(offences)} of {len(manifest)} test photographs lack a mask that can be used, in "
            f"{root / folder}:\n  {listed}{more}\nEvery test photograph needs a mask of its name "
            "and size. Fix them, or leave out dataset.masks, then run snakemake again."
        )
    return pd.DataFrame(
        {
            "image": range(len(paths)),
            "path": [f"{folder}/{path}" for path in paths],
            "sha256": hashes_of(root / folder, paths),
            "width_px": manifest["width_px"],
            "height_px": manifest["height_px"],
            "form": form,
        }
    )


def main(job: Job) -> None:
    """Look at the masks that the config names and write their list."""
    folder, expected = job.config["masks"], job.config["source"]
    if fingerprint(job.source / folder) != expected:
        raise DataError(
            f"the masks in {job.source / folder} changed since snakemake started: run it again"
        )
    table = masks_table(job.input("dataset"), job.source, folder)
    write_table(job.output("masks"), table)
    job.notes["masks"] = len(table)
    job.log.info(f"{len(table)} masks: {read_json(job.input('dataset'))['folder']}")


if __name__ == "__main__":
    run(main)
