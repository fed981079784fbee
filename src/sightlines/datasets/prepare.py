"""Command: makes a dataset's folder below `data/`, from a generator, an archive or photographs."""

from sightlines import registry
from sightlines.errors import DataError
from sightlines.files import read_json
from sightlines.stage import Job, run


def main(job: Job) -> None:
    """Prepare the dataset of the config and write all its files."""
    settings = job.config["dataset"]
    dataset = registry.load("datasets", settings["kind"])
    dataset.check(settings)
    if dataset.fingerprint(settings, job.source) != job.config.get("source", ""):
        raise DataError(
            f"the images in {job.source} changed since snakemake started: run snakemake again"
        )
    out = job.outputs["files"][0].parent
    dataset.prepare(settings, job.source, out, job.log)
    described = read_json(out / "dataset.json")
    job.notes["counts"] = described["counts"]
    job.notes["classes"] = len(described["classes"])


if __name__ == "__main__":
    run(main)
