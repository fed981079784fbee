"""Which planned jobs share a pass, and which of them begin first."""

import importlib
from types import SimpleNamespace

from sightlines.sharing.one_pass import LATER, give_way, planned_passes


class Job(SimpleNamespace):
    """A job of Snakemake's, as far as passes look at it."""

    def __hash__(self):
        return id(self)

    def __eq__(self, other):
        return self is other


def job(kind=None, network="a", dataset="d", before=()):
    inputs = SimpleNamespace(dataset=dataset, weights=f"{network}/weights", card=f"{network}/card")
    return Job(params={"kind": kind} if kind else {}, input=inputs, before=before)


def passes(*jobs, idle=()):
    dag = SimpleNamespace(
        dependencies={one: one.before for one in (*jobs, *idle)},
        toposorted=lambda: [[one] for one in (*jobs, *idle)],
        needrun_jobs=lambda: jobs,
    )
    return [[one.params["kind"] for one in found] for found in planned_passes(dag)]


def test_kinds_of_one_network_and_of_the_same_images_share_a_pass():
    assert passes(job("gram"), job("heads"), job("attention")) == [["gram", "heads", "attention"]]
    assert passes(job("gram"), job("features"), job("heads"), job("predictions")) == [
        *(["gram", "heads"], ["features", "predictions"])
    ]


def test_others_share_none():
    assert passes(job("gram"), job("receptive_field"), job("receptive_field"), job(), job()) == []
    assert passes(job("gram"), job("gram", network="b"), job("gram", dataset="e")) == []
    assert passes(job("gram"), idle=[job("heads")]) == [], "what need not run"


def test_the_job_with_all_inputs_is_the_first():
    prepare, splits = job(), job()
    probes = job(before=[splits, prepare])
    train = job(before=[splits, prepare])
    first, last = job("features", before=[train, probes]), job("predictions", before=[train])
    assert passes(prepare, splits, probes, train, last, first) == [["features", "predictions"]]


def test_the_others_have_a_lower_priority_with_this_snakemake():
    importlib.import_module("snakemake.api")  # before its parts
    dag = object.__new__(importlib.import_module("snakemake.dag").DAG)
    dag._priority = {"plain": 0, "prioritized": 7}
    for one in dag._priority:
        give_way(dag, one)
    assert dag.priority("plain") == LATER < 0 and dag.priority("prioritized") == 7
