"""Command: writes the results page of an experiment out of its figures, tables and records."""

from sightlines.core.files import atomic, read_json
from sightlines.jobs.command import Job, run
from sightlines.report.page import SHOWN, read_figures, render
from sightlines.report.records import read_records
from sightlines.results.tables import read_checked


def main(job: Job) -> None:
    """Read figures, tables and records; write the page."""
    tables = {
        p.name: read_checked(p, p.name) for p in job.inputs.get("tables", []) if p.name in SHOWN
    }
    dataset = dict(job.config.get("dataset") or {})
    for path in job.inputs.get("dataset", []):
        dataset |= read_json(path)
    output = job.output("report")
    records = read_records(output.parent / "records", job.config["networks"])
    figures = read_figures(job.config["figures"], job.inputs.get("pictures", []))
    with atomic(output) as handle:
        handle.write(render(job.config, tables, dataset, figures, records).encode())


if __name__ == "__main__":
    run(main)
