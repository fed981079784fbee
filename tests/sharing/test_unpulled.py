"""What is said of results that were shared and not pulled."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import ClassVar

import pytest

from sightlines.sharing.explain import differences, planned_jobs, table
from sightlines.sharing.unpulled import advice, only_missing, only_not_pulled
from tests.sharing.dags import Dag

GRAM, HEADS = "results/mine/dumps/gram/a.bin", "results/mine/dumps/heads/a.bin"
IMAGES, WEIGHTS = "data/x/images.npy", "results/mine/models/a.bin"


def test_advice_names_the_size_of_what_its_command_fetches():
    other = "results/mine/dumps/gram/b.bin"
    absent = {GRAM: 10**6, other: 8 * 10**6, HEADS: 10**9, IMAGES: 2 * 10**5, WEIGHTS: 10**9}
    said = advice("mine", [GRAM, IMAGES], absent).splitlines()
    assert "  dumps/gram: 2 files, 9.0 MB; needed now: 1" in said
    assert "  images: 1 files, 0.2 MB; needed now: 1" in said
    assert any(line.endswith('WHAT="dumps/gram images"') for line in said)
    assert "models" not in "".join(said) and "heads" not in "".join(said)


# -- what the plan lists ------------------------------------------------------------------------


@dataclass(eq=False)
class Job:
    """Of a DAG as Snakemake builds it, as far as sharing looks at it."""

    name: str
    missing: list = field(default_factory=list)
    changed: str = ""
    before: list = field(default_factory=list)

    @property
    def rule(self):
        return SimpleNamespace(name=self.name, norun=False)

    output = input = log = ()
    params: ClassVar = {}


class Plan(Dag):
    def __init__(self, *jobs):
        records = {"params_changed": changed_params, "code_changed": lambda _: []}
        super().__init__(*jobs, records=records)

    def reason(self, job):
        """Snakemake asks for changes only where nothing is missing."""
        params = None if job.missing else changed_params(job)
        others = dict.fromkeys(
            ("forced", "incomplete_output", "code_changed", "input_changed", "updated_input")
        )
        return SimpleNamespace(
            missing_output=job.missing,
            params_changed=params,
            is_provenance_triggered=lambda: bool(params),
            software_stack_changed=False,
            **others,
        )


def changed_params(job):
    if not job.changed:
        return None
    old, new = (f"'{{\"{job.changed}\": {value}}}'" for value in (1, 2))
    return SimpleNamespace(only_old={old}, only_new={new})


@pytest.fixture
def dag(tmp_path, monkeypatch):
    """Weights and dumps were not pulled; the recipe of one network changed, and a measurement."""
    monkeypatch.chdir(tmp_path)
    train = Job("train_a", [WEIGHTS])
    again = Job("train_b", ["results/mine/models/b.bin"], changed="steps")
    dump = Job("dump_a", [GRAM], before=[train])
    measure = Job("measure", changed="seed", before=[dump])
    draw = Job("draw", before=[measure])
    return Plan(train, again, dump, measure, draw)


def listed(dag, idle):
    lines = table(planned_jobs(dag, lambda _: {}, idle)).splitlines()[1:]
    return {line.split()[0]: " ".join(line.split()[3:]) for line in lines}


def test_only_jobs_with_another_reason_than_absent_files_are_listed(dag):
    absent = {GRAM: 1, WEIGHTS: 1, "results/mine/models/b.bin": 1}
    idle = only_missing(dag, absent)
    assert {job.name for job in idle} == {"train_a", "dump_a"}
    assert listed(dag, idle) == {
        "train_b": "config changed: steps 1 → 2",
        "measure": "config changed: seed 1 → 2",
        "draw": "follows from measure",
    }


def test_without_absent_files_that_could_be_pulled_all_jobs_are_listed(dag):
    assert set(listed(dag, ())) == {"train_a", "train_b", "dump_a", "measure", "draw"}


def test_jobs_that_are_not_listed_are_counted():
    assert only_not_pulled(0) == ""
    assert only_not_pulled(1).startswith("1 job would run again only because")
    assert only_not_pulled(46).startswith("46 jobs would run again only because")


def test_changed_lists_say_what_came_and_what_went():
    many = [f"vit_small/f{place:03}/s0" for place in range(9)]
    assert list(differences({"networks": many}, {"networks": [*many[:8], "b/f000/s0"]})) == [
        "networks with b/f000/s0 and without vit_small/f008/s0"
    ]
    assert list(differences({"a": many}, {"a": many[::-1]})) == ["a in another order"]
    assert list(differences({"a": [1, 2]}, {"a": [1, 3]})) == ["a [1, 2] → [1, 3]"]
    assert list(differences({"a": many}, {"a": list(many)})) == []
