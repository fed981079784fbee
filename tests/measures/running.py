"""Runs a measure as a rule does, from dumps that a test wrote."""

import logging
from pathlib import Path

from sightlines.core.files import read_table
from sightlines.jobs.command import Job
from sightlines.plan import registry
from sightlines.plan.table_schemas import written
from sightlines.run import measure


def measure_job(name, inputs, folder, networks, **config):
    """The job of a measure whose kinds of dumps are all of `networks`, unless config says more."""
    reads = registry.declarations("measures", name)["READS"]
    kinds = [read for read in reads if read in registry.members("dumps")]
    config = {"networks": networks, "dumped": dict.fromkeys(kinds, networks), "seed": 0} | config
    outputs = {Path(file).stem: [folder / file] for file in written("measures", name)}
    log = logging.getLogger("test")
    return Job("m", config, inputs, outputs, folder, log, member=name)


def run_measure(name, inputs, folder, networks, **config):
    """Run it; the tables that it wrote into `folder`, by their names without ending."""
    job = measure_job(name, inputs, folder, networks, **config)
    measure.main(job)
    tables = {n: paths[0] for n, paths in job.outputs.items() if paths[0].suffix != ".safetensors"}
    return {name: read_table(path) for name, path in tables.items()}
