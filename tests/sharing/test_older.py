"""What would run again only because of other code, and whose other code it is."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from sightlines.core.files import write_json
from sightlines.plan import code_digest
from sightlines.sharing import older, snakemake_records
from sightlines.sharing.older import COMMANDS, Again, advice, edited_files, in_dry_run, only_code
from tests.sharing.dags import Dag
from tests.sharing.repository import run

OLD, NEW = "a" * 16, "b" * 16
LOOP, LAYERS = "sightlines.training.loop:run_training", "sightlines.models.layers:capture"
CODES = {OLD: {LOOP: "1", LAYERS: "1"}, NEW: {LOOP: "2", LAYERS: "1"}}
LOOP_FILE = "src/sightlines/training/loop.py"
LAYERS_FILE = "src/sightlines/models/layers.py"


@dataclass(eq=False)
class Job:
    """Of a DAG as Snakemake builds it, as far as sharing looks at it."""

    name: str
    before: list = field(default_factory=list)
    config: tuple = ()
    code: tuple = ()
    command: bool = False
    reads: bool = False
    reasons: dict = field(default_factory=dict)

    @property
    def rule(self):
        return SimpleNamespace(name=self.name, norun=False)

    @property
    def output(self):
        return [f"results/mine/{self.name}"]


class Plan(Dag):
    def __init__(self, *jobs):
        records = {
            "params_changed": params_changed,
            "code_changed": lambda job: iter(job.output if job.command else ()),
            "input_changed": lambda job: iter(job.output if job.reads else ()),
        }
        super().__init__(*jobs, records=records)

    def reason(self, job):
        names = ("forced", "incomplete_output", "missing_output", "updated_input")
        return SimpleNamespace(**dict.fromkeys((*names, "software_stack_changed")) | job.reasons)


def params_changed(job):
    """What only the record and only the job has; nothing where they are the same."""
    changed = [pair for pair in (job.config, job.code) if pair]
    if not changed:
        return None
    old, new = ({repr(pair[side]) for pair in changed} for side in (0, 1))
    return SimpleNamespace(only_old=old, only_new=new)


@pytest.fixture(autouse=True)
def known(tmp_path, monkeypatch):
    """Both digests are known, and all jobs have run before."""
    monkeypatch.chdir(tmp_path)
    for digest, parts in CODES.items():
        write_json(code_digest.CACHE / f"{digest}.json", parts)
    for name in ("train_network", "dump_gram", "measure_cka", "prepare_dataset"):
        snakemake_records.install(f"results/mine/{name}", {"rule": name})


def again(*jobs):
    return only_code(Plan(*jobs), lambda digest: CODES.get(digest, {}))


def train(**how):
    return Job("train_network", **{"code": (OLD, NEW)} | how)


def test_other_code_alone_is_told_with_what_follows():
    trained = train()
    dumped = Job("dump_gram", before=[trained])
    measured = Job("measure_cka", before=[dumped])
    found = again(trained, dumped, measured)
    assert found == Again({"train_network": 1, "dump_gram": 1}, frozenset({LOOP_FILE}))
    assert "train_network: 1 job\n" in advice("mine", found)
    assert "--config recompute=true" in advice("mine", found)
    assert in_dry_run(found).startswith("2 jobs")


def test_code_of_what_runs_no_network_is_nobodys_business():
    assert again(Job("measure_cka", code=(OLD, NEW))).heavy == {}


def test_images_that_other_code_makes_anew_train_networks_too():
    prepared = Job("prepare_dataset", code=(OLD, NEW))
    trained = Job("train_network", before=[prepared])
    assert again(prepared, trained) == Again({"train_network": 1}, frozenset({LOOP_FILE}))


@pytest.mark.parametrize(
    "how",
    [
        {"config": ('{"steps": 1}', '{"steps": 2}')},
        {"config": ("{}", '{"steps": 2}')},
        {"reasons": {"forced": True}},
        {"reasons": {"incomplete_output": {"x"}}},
        {"reasons": {"updated_input": {"x"}}},
        {"reasons": {"software_stack_changed": True}},
        {"reads": True},
        {"reads": True, "code": ()},
        {"code": ()},
    ],
)
def test_whatever_else_asks_for_it_is_no_reason_to_stop(how):
    trained = train(**how)
    assert again(trained, Job("dump_gram", before=[trained])).heavy == {}


def test_what_was_never_made_is_made_without_a_question():
    new = Job("train_other", code=(OLD, NEW), reasons={"missing_output": {"x"}})
    assert again(new).heavy == {}
    gone = train(reasons={"missing_output": {"x"}})
    assert again(gone).heavy == {"train_network": 1}, "made once, and not pulled"


def test_a_changed_command_is_a_change_of_the_rules():
    assert again(train(code=(), command=True)).files == set(COMMANDS)
    assert again(train(command=True, reads=True)).files == {LOOP_FILE, *COMMANDS}


def test_where_the_older_code_is_not_known_no_edit_explains_it():
    found = again(train(code=("c" * 16, NEW)))
    assert found.is_unknown and not found.is_own_edit({LOOP_FILE})


def test_an_edit_explains_what_it_touches_alone():
    found = again(train())
    assert found.is_own_edit({LOOP_FILE, "README.md"})
    assert not found.is_own_edit({LAYERS_FILE}) and not found.is_own_edit(())
    both = Again({"train_network": 1}, frozenset({LOOP_FILE, LAYERS_FILE}))
    assert both.is_own_edit({LOOP_FILE, LAYERS_FILE}) and not both.is_own_edit({LOOP_FILE})


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one module and one file of rules, all committed."""
    for name in (LOOP_FILE, "workflow/rules/train.smk", "Snakefile"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("a = 1\n")
    run("git", "init", "--quiet")
    run("git", "add", "src", "workflow", "Snakefile")
    run("git", "commit", "--quiet", "--message", "Code")
    monkeypatch.setattr(older, "CHECKOUT", tmp_path)
    return tmp_path


def test_edits_that_are_not_committed(checkout):
    assert not edited_files() & {LOOP_FILE, *COMMANDS}
    (checkout / LOOP_FILE).write_text("a = 2\n")
    assert LOOP_FILE in edited_files() and not edited_files() & set(COMMANDS)
    run("git", "add", LOOP_FILE)
    assert LOOP_FILE in edited_files()
    (checkout / "src/sightlines/training/new.py").touch()
    assert "src/sightlines/training/new.py" in edited_files()
    (checkout / "workflow/rules/train.smk").write_text("a = 2\n")
    assert set(COMMANDS) <= edited_files()
    run("git", "add", "src", "workflow")
    run("git", "commit", "--quiet", "--message", "Upgrade")
    assert not edited_files() & {LOOP_FILE, *COMMANDS}


def test_advice_names_the_version_that_shared_the_results(checkout):
    assert "use the commit that made them" in advice("mine", Again({"train_network": 2}))
    path = checkout / "results/mine/provenance.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    run("git", "add", "--force", str(path))
    run("git", "commit", "--quiet", "--message", "Results")
    commit = run("git", "rev-parse", "--short", "HEAD").strip()
    said = advice("mine", Again({"train_network": 2}))
    assert f"git checkout {commit}" in said and "train_network: 2 jobs" in said


def test_without_git_no_edit_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(older, "CHECKOUT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert edited_files() == set()
