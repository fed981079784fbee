"""Whether a run is shown by our console (`sightlines.console`), so that others keep silent."""

import os

from sightlines.jobs.start import PARENT

CONSOLE = "SIGHTLINES_CONSOLE"
"""Names the Snakemake that shows its run itself; `off`: it speaks as Snakemake always does."""
OFF = "off"
PLAN_EVENT = "sightlines_plan"
"""Event of the record of Snakemake's log that lists what will run."""


def is_shown() -> bool:
    """Whether the Snakemake of this process, or that started this job, shows its run itself."""
    shown_by = os.environ.get(CONSOLE)
    return bool(shown_by) and shown_by == os.environ.get(PARENT)
