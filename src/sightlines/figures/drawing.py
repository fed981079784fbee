"""The command that every figure runs: read its tables, draw, write SVG and PNG."""

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from sightlines.core.errors import ResultError
from sightlines.figures import fonts, style
from sightlines.jobs.command import Job
from sightlines.results.tables import read_checked


def command(reads: Sequence[str], draw: Callable[..., Figure]) -> Callable[[Job], None]:
    """Make a figure's `main`.

    Args:
        reads: The figure's READS: names of the table files that it is drawn from.
        draw: The figure's `draw(tables, config)`.
    """

    def main(job: Job) -> None:
        paths = {path.name: path for group in job.inputs.values() for path in group}
        missing = [name for name in reads if name not in paths]
        if missing:
            raise ResultError(f"{job.name}: not among the inputs: {', '.join(missing)}")
        tables = {name: read_checked(paths[name], name) for name in reads}
        figure = draw(tables, job.config)
        style.save(figure, job.output("svg"), job.output("png"))
        families = style.families_of(figure)
        if families:
            job.notes["fonts"] = [fonts.OWN, *families]
        if said := fonts.explain(fonts.lacking(figure, families)):
            job.log.warning(said)

    return main
