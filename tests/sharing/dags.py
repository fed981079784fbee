"""Planned jobs as Snakemake's DAG holds them, as far as sharing looks at it."""

from types import SimpleNamespace


class Dag:
    """Planned jobs, each after those that it follows from; `records` stands for Snakemake's."""

    def __init__(self, *jobs, records):
        self.jobs = jobs
        self.dependencies = {job: dict.fromkeys(job.before) for job in jobs}
        self.workflow = SimpleNamespace(persistence=SimpleNamespace(**records))

    def needrun_jobs(self):
        return self.jobs

    def toposorted(self):
        return [[job] for job in self.jobs]
