"""What follows from a file that is made again as it was: nothing."""

import asyncio
import platform
from collections import defaultdict
from types import SimpleNamespace

import pytest

from sightlines.sharing.provenance import Provenance
from sightlines.sharing.restoring import hold, needless, restorable
from tests.sharing.test_unpulled import GRAM, HEADS, WEIGHTS, Job, Plan


class Planned(Plan):
    """A plan of Snakemake's, as far as jobs are left out of it."""

    def __init__(self, *jobs, targets=()):
        super().__init__(*jobs)
        self.dependencies = {job: {b: b.missing or [b.name] for b in job.before} for job in jobs}
        self.targetjobs = set(targets)
        self._needrun, self._finished = set(jobs), set()
        self._n_until_ready = defaultdict(int, {job: len(job.before) for job in jobs})
        self._len = len(jobs)
        self.cleared = []

    def reason(self, job):
        found = super().reason(job)
        found.clear = lambda: self.cleared.append(job.name)
        return found

    def needrun_jobs(self):
        return set(self._needrun)

    async def update_needrun(self, create_inventory=False):
        self.asked = create_inventory


def names(jobs):
    return {job.name for job in jobs}


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A measure of Grams changed; another one reads the same Grams, and heads."""
    monkeypatch.chdir(tmp_path)
    gram, heads = Job("dump_gram", [GRAM]), Job("dump_heads", [HEADS])
    cka = Job("measure_cka", changed="seed", before=[gram])
    other = Job("measure_other", before=[gram, heads])
    page = Job("page", before=[cka, other])
    return SimpleNamespace(gram=gram, heads=heads, cka=cka, other=other, page=page)


def test_only_what_a_changed_measure_reads_is_made_again(jobs):
    dag = Planned(jobs.gram, jobs.heads, jobs.cka, jobs.other, jobs.page)
    assert names(needless(dag, {GRAM: 1, HEADS: 1})) == {"dump_heads", "measure_other"}


def test_what_would_not_be_made_again_as_it_was_counts_as_a_change(jobs):
    dag = Planned(jobs.gram, jobs.heads, jobs.cka, jobs.other, jobs.page)
    assert needless(dag, {HEADS: 1}) == set()


def test_a_changed_dump_touches_all_that_reads_it(jobs):
    jobs.gram.changed = "network"
    dag = Planned(jobs.gram, jobs.heads, jobs.cka, jobs.other, jobs.page)
    assert needless(dag, {GRAM: 1, HEADS: 1}) == set()


def test_a_dump_that_somebody_asks_for_is_made(jobs):
    dag = Planned(jobs.heads, jobs.gram, jobs.other, targets=[jobs.heads])
    assert names(needless(dag, {GRAM: 1, HEADS: 1})) == {"dump_gram", "measure_other"}


def test_what_a_restored_file_is_made_of_is_restored_too(jobs):
    train = Job("train", [WEIGHTS])
    jobs.gram.before = [train]
    dag = Planned(train, jobs.gram, jobs.heads, jobs.cka, jobs.other, jobs.page)
    absent = {GRAM: 1, HEADS: 1, WEIGHTS: 1}
    assert names(needless(dag, absent)) == {"dump_heads", "measure_other"}


def test_snakemake_s_counts_fit_what_is_left(jobs):
    class Dag(Planned):
        pass

    hold(Dag, lambda: {GRAM: 1, HEADS: 1})
    dag = Dag(jobs.gram, jobs.heads, jobs.cka, jobs.other, jobs.page)
    asyncio.run(dag.update_needrun(create_inventory=True))
    assert dag.asked
    assert names(dag._needrun) == {"dump_gram", "measure_cka", "page"} and dag._len == 3
    assert sorted(dag.cleared) == ["dump_heads", "measure_other"]
    ahead = {job.name: count for job, count in dag._n_until_ready.items()}
    assert ahead == {"dump_gram": 0, "measure_cka": 1, "page": 1}


def test_only_the_same_machine_and_versions_make_the_same_bytes(monkeypatch):
    monkeypatch.setattr("sightlines.sharing.restoring.describe_hardware", lambda: {"cores": 2})
    monkeypatch.setattr("sightlines.sharing.restoring.versions", dict)
    here = {"hardware": {"cores": 2}, "packages": {}, "python": platform.python_version()}

    def account(**record):
        return Provenance("dump", "log", {}, {}, {GRAM: "h"}, record=here | record)

    assert restorable([account()], {GRAM: 7, HEADS: 8}) == {GRAM: 7}
    for other in ({"hardware": {"cores": 4}}, {"packages": {"torch": "1"}}, {"python": "2"}):
        assert restorable([account(**other)], {GRAM: 7}) == {}
