"""One command's arguments for tests, with one path or a list of them for each input and output."""

import logging
from pathlib import Path

from sightlines.jobs.command import Job

LOG = logging.getLogger("sightlines.tests")
"""Below the package's own, whose settings it takes."""


def make_job(config, inputs, outputs, source="sources", *, log=LOG, name="tests/job", member=""):
    """What a command is given.

    Args:
        config: The slice of the config.
        inputs: By name a path, or several.
        outputs: Likewise.
        source: Where archives, image folders and weights lie.
        member: Which measure, dump or figure, for a command of many.
    """
    return Job(name, config, listed(inputs), listed(outputs), Path(source), log, member=member)


def listed(files):
    """By name a list of paths, also where one path stood."""
    several = {name: [p] if isinstance(p, str | Path) else p for name, p in files.items()}
    return {name: [Path(path) for path in paths] for name, paths in several.items()}
