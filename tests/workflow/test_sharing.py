"""Two clones: one shares, the other pulls and goes on without training."""

import json
import re
import shutil

import pytest

from sightlines.plan.experiment import Experiment
from sightlines.sharing.carried import Command, Stage, write_table
from tests.workflow.conftest import (
    ROOT,
    SMOKE,
    call_warm,
    clone_of,
    copy_project,
    ok,
    plan,
    pull,
    share,
    tool,
)
from tests.workflow.planning import follow, planned, reasons

pytestmark = pytest.mark.workflow
R = "results/smoke"
CONFIG = "workflow/config/smoke.yaml"
GIT = ("git", "-c", "user.name=B", "-c", "user.email=b@localhost")


def run(folder, *options):
    return call_warm(folder, "--configfile", CONFIG, *options)


def edit(path, text="\nassert __name__\n"):
    path.write_text(path.read_text() + text)


@pytest.fixture
def clone(shared, tmp_path):
    return clone_of(shared, tmp_path / "elsewhere" / "clone")


def test_a_colleague_pulls_and_goes_on_without_training(clone, shared):
    said = ok(pull(clone))
    assert "The report: results/smoke/report.html" in said and "models: " in said
    assert (clone / R / "claims.lock").read_bytes() == (shared / R / "claims.lock").read_bytes()
    weights = sorted((clone / R / "models").rglob("*.safetensors"))
    before = {path: path.read_bytes() for path in weights}
    said = ok(run(clone))
    assert "Nothing to be done" in said
    assert (clone / R / "report.html").read_bytes() == (shared / R / "report.html").read_bytes()
    edit(clone / "src/sightlines/measures/cka.py")
    said = ok(run(clone))
    assert planned_in(said) == after_cka(Experiment.open(SMOKE))
    assert {path: path.read_bytes() for path in weights} == before
    assert "Nothing to be done" in ok(run(clone))
    assert ", 0 differ\n" in ok(tool(clone, "python", "-m", "sightlines.sharing.verify", "smoke"))


def after_cka(experiment):
    tables = [path.rsplit("/")[-1] for path in experiment.outputs("cka").values()]
    return follow(experiment, changed=tables, jobs=[("measure_cka", 1)])


def planned_in(said):
    """Rule -> jobs, of the table that a run prints before its jobs."""
    table = said.split("Job stats:")[1].split("\n\n")[0]
    found = dict(re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE))
    return {rule: int(n) for rule, n in found.items() if rule not in ("total", "all")}


def test_records_are_enough_to_verify_what_was_pulled(pulled):
    said = ok(tool(pulled, "python", "-m", "sightlines.sharing.verify", "smoke"))
    assert ", 0 differ\n" in said and "not here" not in said


@pytest.mark.thorough
def test_tables_and_figures_alone(pulled_tables):
    assert not (pulled_tables / R / "models").exists() and not (pulled_tables / "data").exists()
    assert planned(plan(pulled_tables)) == {}
    edit(pulled_tables / "src/sightlines/figures/fig01_cka_within.py")
    assert planned(plan(pulled_tables)) == {"draw_fig01_cka_within": 1, "write_report": 1}
    edit(pulled_tables / "src/sightlines/measures/cka.py")
    done = plan(pulled_tables)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    jobs = json.loads((pulled_tables / R / "provenance.json").read_text())["jobs"].values()
    outputs = {path: size for job in jobs for path, (_, size) in job["outputs"].items()}
    grams = [size for path, size in outputs.items() if path.startswith(f"{R}/dumps/gram/")]
    count = len(Experiment.open(SMOKE).dumped("gram"))
    fetched = f"  dumps/gram: {count} files, {sum(grams) / 1e6:,.1f} MB; needed now: {count}\n"
    assert fetched in said and 'WHAT="dumps/gram"' in said and "models: " not in said
    again = after_cka(Experiment.open(SMOKE))
    assert reasons(done).keys() == again.keys()
    every = plan(pulled_tables, "--config", "recompute=true")
    idle = sum(planned(every).values()) - sum(again.values())
    assert f"{idle} jobs would run again only because their results were not pulled" in said
    assert reasons(every).keys() == planned(every).keys() > {"train_network"}
    assert "not pulled" not in every.stdout + every.stderr
    ok(pull(pulled_tables, "dumps/gram"))
    assert {path.name for path in (pulled_tables / R / "dumps").iterdir()} == {"gram"}
    assert "measure_cka" in planned(plan(pulled_tables)) and "train_network" not in planned(
        plan(pulled_tables)
    )


def test_a_changed_recipe_is_seen_though_no_weights_were_pulled(pulled_tables):
    config = pulled_tables / CONFIG
    config.write_text(config.read_text().replace("steps: 12", "steps: 13"))
    done = plan(pulled_tables)
    assert planned(done)["train_network"] == 6
    assert "train.steps 12 → 13" in reasons(done)["train_network"]
    assert reasons(done)["make_control"] == "follows from train_network"
    assert reasons(done)["dump_gram"] in {
        f"follows from {r}" for r in ("train_network", "make_control")
    }


def test_a_merge_that_failed_trains_nothing(pulled_tables):
    edit(pulled_tables / "src/sightlines/measures/cka.py")
    edit(pulled_tables / "dvc.lock", "<<<<<<< HEAD\n=======\n>>>>>>> theirs\n")
    for done in (
        plan(pulled_tables),
        plan(pulled_tables, "--dag"),
        pull(pulled_tables),
        share(pulled_tables),
    ):
        assert done.returncode == 1 and "dvc.lock has merge conflicts" in done.stderr
        assert "git checkout HEAD -- dvc.lock" in done.stderr and "Traceback" not in done.stderr
        assert not planned_anything(done)
    assert "train_network" in planned(plan(pulled_tables, "--config", "recompute=true"))


def planned_anything(done):
    return re.search(r"^ *(train|dump|measure)_", done.stdout + done.stderr, re.MULTILINE)


def test_unknown_parts_are_named(clone):
    for word in ("weights", "dumps/none", "dumps/../models"):
        done = pull(clone, word)
        assert done.returncode == 1 and word in done.stderr and "Traceback" not in done.stderr
    assert not (clone / R / "models").exists()


def test_nothing_stale_is_shared(pulled):
    edit(pulled / "src/sightlines/measures/cka.py")
    before = ok(
        tool(pulled, *GIT, "status", "--porcelain", "--", "dvc.yaml", "dvc.lock", "results")
    )
    done = share(pulled)
    assert done.returncode == 1 and "code changed: src/sightlines/measures/cka.py" in done.stderr
    after = ok(tool(pulled, *GIT, "status", "--porcelain", "--", "dvc.yaml", "dvc.lock", "results"))
    assert before == after == ""
    assert share(pulled, "--stale").returncode == 0


@pytest.mark.thorough
def test_what_would_be_hidden_or_left_out_is_not_shared(pulled, tmp_path):
    """A profile of one's own that looks at times alone; a pattern that leaves out all tables."""
    (tmp_path / "config.yaml").write_text("rerun-triggers: [mtime]\nquiet: [all]\n")
    config = pulled / CONFIG
    text = config.read_text()
    config.write_text(text.replace("steps: 12", "steps: 13"))
    done = share(pulled, SNAKEMAKE_PROFILE=str(tmp_path))
    assert (
        done.returncode == 1 and "train.steps 12 → 13" in done.stderr and "STALE=1" in done.stderr
    )
    config.write_text(text)
    edit(pulled / ".dvcignore", "*.csv\n")
    done = share(pulled, SNAKEMAKE_PROFILE=str(tmp_path))
    assert done.returncode == 1 and ":*.csv" in done.stderr and ".dvcignore:" in done.stderr
    status = ok(tool(pulled, *GIT, "status", "--porcelain"))
    assert status.split() == ["M", ".dvcignore"]


def test_what_is_not_whole_is_not_shared(pulled_tables):
    done = share(pulled_tables)
    assert done.returncode == 1 and "pull them" in done.stderr


@pytest.mark.thorough
def test_without_a_remote_all_but_push_and_pull_works(shared, tmp_path):
    copy = tmp_path / "alone"
    shutil.copytree(shared, copy, symlinks=True, ignore=shutil.ignore_patterns(".cache"))
    ok(tool(copy, "dvc", "remote", "remove", "store"))
    assert "Nothing to be done" in ok(plan(copy))
    said = ok(share(copy))
    assert "no remote is set" in said and "dvc remote add" in said
    assert "no remote is set" in ok(pull(copy))


def test_a_fresh_clone_of_the_project_pulls_without_an_error(tmp_path):
    """No remote of ours exists: nothing names an object that nobody has."""
    folder = tmp_path / "fresh"
    copy_project(ROOT, folder)
    shutil.rmtree(folder / ".dvc/cache", ignore_errors=True)
    shutil.rmtree(folder / ".dvc/tmp", ignore_errors=True)
    ok(tool(folder, "git", "init", "--quiet"))
    assert "up to date" in ok(tool(folder, "dvc", "pull"))
    assert "Nothing was pulled" in ok(pull(folder))


@pytest.mark.slow
def test_dvc_compares_two_commits(shared, tmp_path):
    copy = tmp_path / "two"
    shutil.copytree(shared, copy, symlinks=True, ignore=shutil.ignore_patterns(".cache"))
    config = copy / CONFIG
    config.write_text(config.read_text().replace("learning_rate", "learning_rate"))
    config.write_text(
        re.sub(r"(?m)^train:\n", "train:\n  learning_rate: 0.01\n", config.read_text())
    )
    ok(run(copy))
    ok(share(copy))
    ok(tool(copy, *GIT, "commit", "--quiet", "--all", "--message", "Another rate"))
    metrics = ok(tool(copy, "dvc", "metrics", "diff", "HEAD~1", "HEAD"))
    assert "accuracy_test" in metrics and "results/smoke/metrics.json" in metrics
    params = ok(tool(copy, "dvc", "params", "diff", "HEAD~1", "HEAD"))
    assert "train.learning_rate" in params and "0.01" in params
    page = ok(tool(copy, "dvc", "plots", "diff", "HEAD~1", "HEAD"))
    assert "dvc_plots" in page and (copy / "dvc_plots/index.html").stat().st_size > 1000
    assert "dvc_plots" not in ok(tool(copy, *GIT, "status", "--porcelain"))
    # Back to the first commit and forth: nothing is made again.
    for commit in ("HEAD~1", "main"):
        ok(tool(copy, *GIT, "checkout", "--quiet", commit))
        ok(tool(copy, "dvc", "checkout", "--quiet"))
        assert planned(plan(copy)) == {}


# -- another version of the code ----------------------------------------------------------------

LOOP = "src/sightlines/training/loop.py"
UNTRAINED = f"{R}/models/vit_small/f000/s0/weights.safetensors"


def upgrade(clone):
    """Newer code of training, as `git pull` would bring it."""
    edit(clone / LOOP)
    ok(tool(clone, *GIT, "commit", "--quiet", "--message", "Upgrade", "--", LOOP))


def test_an_edit_of_ones_own_is_planned_without_a_question(pulled):
    edit(pulled / LOOP)
    done = plan(pulled)
    assert planned(done)["train_network"] == 6
    assert "older version" not in done.stdout + done.stderr


def test_newer_code_trains_nothing_unasked(pulled):
    upgrade(pulled)
    dry = plan(pulled)
    assert planned(dry)["train_network"] == 6 and "a run stops before them" in dry.stderr
    before = (pulled / UNTRAINED).stat().st_mtime_ns  # as adoption set it
    for options in ((), ("--", UNTRAINED)):
        done = run(pulled, *options)
        said = done.stdout + done.stderr
        assert done.returncode != 0 and "made by an older version of sightlines" in said
        assert f"code changed: {LOOP}" in said and "--config recompute=true" in said
        assert re.search(r"git checkout [0-9a-f]{7}", said) and "Traceback" not in said
    assert (pulled / UNTRAINED).stat().st_mtime_ns == before
    ok(run(pulled, "--config", "recompute=true", "--", UNTRAINED))
    assert (pulled / UNTRAINED).stat().st_mtime_ns > before


def test_newer_code_that_is_shown_to_make_the_same_bytes_trains_nothing(pulled, tmp_path):
    jobs = json.loads((pulled / R / "provenance.json").read_text())
    made = {p: job for job in jobs["jobs"].values() for p in job["outputs"]}
    upgrade(pulled)
    ok(plan(pulled, SIGHTLINES_LIST_JOBS=str(tmp_path / "jobs.json")))
    stages = {}
    for asked in json.loads((tmp_path / "jobs.json").read_text()):
        job = made[asked["outputs"][0]]
        if job["record"]["code"] != asked["code"]:
            shell = jobs["shells"][job["shell"]]
            old, new = (Command(code, shell) for code in (job["record"]["code"], asked["code"]))
            stage = Stage(
                asked["rule"], old, new, ("1111111", "2222222"), jobs=1, images=("shapes",)
            )
            stages[stage.key] = stage
    assert {stage.rule for stage in stages.values()} == {"train_network"}
    write_table(stages.values(), pulled / "src/sightlines/sharing/carried.json")
    done = plan(pulled)
    assert planned(done) == {} and "Carried over 18 results" in done.stderr
    assert "Nothing to be done" in ok(run(pulled))
    record = json.loads((pulled / R / "records/train/vit_small/f000/s0.json").read_text())
    assert record["carried_from"] and record["carried_from"] != [record["code"]]
    assert ", 0 differ\n" in ok(tool(pulled, "python", "-m", "sightlines.sharing.verify", "smoke"))
    (pulled / UNTRAINED).write_bytes((pulled / UNTRAINED).read_bytes()[:-1] + b"?")
    assert planned(plan(pulled))["train_network"] == 1
