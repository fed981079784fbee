"""Command: runs one figure: reads its tables, calls its `draw`, writes pictures and numbers.

    python -m sightlines.jobs.start sightlines.run.figure fig01_cka_within --config '{…}'
        --input cka.parquet P --input layers.csv L --output svg S … --output csv C --log L

A figure's file declares READS, NEEDS and its texts, and holds one function, `draw`, which is given
the tables by file name and the config's networks, labels and architectures.
"""

import gc

from sightlines.core.errors import ResultError
from sightlines.figures import fonts, style
from sightlines.jobs.command import Job, run
from sightlines.plan import registry
from sightlines.results.opening import Opened


def main(job: Job) -> None:
    """Draw the figure that the job names.

    Raises:
        ResultError: an input is missing, damaged or lacks columns, or there is nothing to draw.
    """
    reads = registry.declarations("figures", job.member)["READS"]
    opened = Opened(path for paths in job.inputs.values() for path in paths)
    missing = [name for name in reads if name not in opened]
    if missing:
        raise ResultError(
            f"{job.name}: not among the inputs: {', '.join(missing)}. "
            f"figures/{job.member}.py reads them: run snakemake again"
        )
    tables = {name: opened[name] for name in reads}
    gc.disable()  # a drawing is a web of references: searching it for garbage takes a tenth longer
    try:
        figure = registry.load("figures", job.member).draw(tables, job.config)
        style.save(figure, {kind: job.output(kind) for kind in job.outputs})
    finally:
        gc.enable()
    look = style.look_of(figure)
    asked = style.rc(look.settings)
    families = [fonts.own(asked), *look.families]
    if families != [fonts.LAST]:
        job.notes["fonts"] = families
    if families[0] not in fonts.asked(asked):
        job.log.warning(f"{', '.join(fonts.asked(asked))}: not installed; set in {families[0]}")
    if said := fonts.explain(fonts.lacking(figure, families)):
        job.log.warning(said)


if __name__ == "__main__":
    run(main)
