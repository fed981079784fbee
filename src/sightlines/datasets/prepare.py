"""Command: makes a dataset's folder below `data/`, from a generator, an archive or photographs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sightlines.core.errors import DataError
from sightlines.core.files import read_json
from sightlines.datasets.store import UNLABELLED
from sightlines.jobs.command import Job, run
from sightlines.plan import registry

LABELS = ("this dataset was planned with labels",)


def identity(settings: Mapping[str, Any], source: Path, labels_for: Sequence[str]) -> str:
    """Fingerprint of a dataset's images as they are now.

    Args:
        settings: The dataset's config.
        source: Where archives and image folders lie.
        labels_for: What their labels are needed for, in words; empty where they are not, so that
            photographs may do without.

    Raises:
        DataError: the images are missing, or wrong as far as a short look tells.
    """
    dataset = registry.load("datasets", settings["kind"])
    if registry.declarations("datasets", settings["kind"]).get("LABELS_OPTIONAL"):
        return str(dataset.fingerprint(settings, source, labels_for))
    return str(dataset.fingerprint(settings, source))


def main(job: Job) -> None:
    """Prepare the dataset of the config and write all its files."""
    settings, expected = job.config["dataset"], job.config.get("source", "")
    dataset = registry.load("datasets", settings["kind"])
    dataset.check(settings)
    is_labelled = not expected.endswith(UNLABELLED)
    if identity(settings, job.source, LABELS if is_labelled else ()) != expected:
        raise DataError(
            f"the images in {job.source} changed since snakemake started: run snakemake again"
        )
    out = job.outputs["files"][0].parent
    options = {} if is_labelled else {"is_labelled": False}
    dataset.prepare(settings, job.source, out, job.log, **options)
    described = read_json(out / "dataset.json")
    job.notes["counts"] = described["counts"]
    job.notes["classes"] = len(described["classes"])


if __name__ == "__main__":
    run(main)
