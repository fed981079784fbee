"""Dumps that are no longer needed go, and the results stay valid without them."""

import shutil
from pathlib import Path

import pytest

from sightlines.plan.experiment import Experiment
from tests.workflow.conftest import SMOKE, clone_of, ok, plan, pull, results, share, snakemake, tool
from tests.workflow.planning import follow, planned, reasons

pytestmark = pytest.mark.workflow
R = "results/smoke"
GIT = ("git", "-c", "user.name=A", "-c", "user.email=a@localhost")


def clean(folder, *options):
    """What `make clean-dumps` runs for the smoke experiment."""
    return tool(folder, "python", "-m", "sightlines.sharing.clean_dumps", SMOKE, *options)


def after_cka(experiment):
    """What follows where cka alone changed and no dumps are here: its Grams, and no other dump."""
    tables = [path.rsplit("/")[-1] for path in experiment.outputs("cka").values()]
    again = follow(experiment, changed=tables, jobs=[("measure_cka", 1)])
    return again | {"dump_gram": len(experiment.dumped("gram"))}


@pytest.mark.thorough
def test_results_are_valid_without_dumps_and_a_change_makes_just_those_again_that_it_reads(copied):
    before, own = results(copied), ("--configfile", SMOKE)
    dumps = {path for path in before if path.startswith("smoke/dumps/")}
    ok(tool(copied, "python", "-m", "sightlines.sharing.clean_dumps", SMOKE, "--dry"))
    assert results(copied) == before
    said = ok(clean(copied))
    assert f"smoke: {len(dumps)} dumps and 0 caches removed" in said
    assert results(copied) == {p: b for p, b in before.items() if p not in dumps}
    said = ok(tool(copied, "python", "-m", "sightlines.sharing.verify", "smoke"))
    assert f", 0 differ; {len(dumps)} are not, which `make clean-dumps` removed" in said
    assert planned(snakemake(copied, *own, "-n")) == {}
    experiment, force = Experiment.open(SMOKE), ("--forcerun", "measure_cka")
    done = snakemake(copied, *own, "-n", *force)
    assert planned(done) == after_cka(experiment)
    assert "To write: 7 dumps, about" in done.stderr and reasons(done)["dump_gram"] == "missing"
    ok(snakemake(copied, *own, *force))
    grams = {path for path in dumps if path.startswith("smoke/dumps/gram/")}
    assert results(copied) == {p: b for p, b in before.items() if p not in dumps - grams}
    assert planned(snakemake(copied, *own, "-n")) == {}
    assert f"smoke: {len(grams)} dumps and 0 caches removed" in ok(clean(copied))


def test_sizes_are_told_before_anything_runs(smoke):
    experiment = Experiment.open(SMOKE)
    checked = 0
    for recording in experiment.recordings():
        for network in experiment.networks:
            path = smoke / experiment.folder / recording.place / f"{network.slug}.safetensors"
            told = experiment.dump_bytes(recording.rule, network.model)
            if path.exists() and recording.kind in ("predictions", "occlusions", "lesions"):
                assert told == 0
            elif path.exists() and told is not None:
                assert 0 < path.stat().st_size - told < 6000 + 0.1 * told, path
                checked += 1
    assert checked > 30
    left = (smoke / experiment.pixels).stat().st_size - experiment.dump_bytes("dump_pixels", "")
    assert 0 < left < 6000


@pytest.mark.thorough
def test_shared_dumps_come_back_by_a_pull(pulled):
    before = results(pulled)
    ok(clean(pulled))
    assert not (pulled / R / "dumps").exists() and planned(plan(pulled)) == {}
    done = share(pulled)
    assert done.returncode and "are not here" in done.stderr  # the shared version would lose them
    done = plan(pulled, "--forcerun", "measure_cka")
    assert done.returncode and reasons(done).keys() == after_cka(Experiment.open(SMOKE)).keys() - {
        "dump_gram"
    }
    assert "dumps/gram: 7 files" in done.stderr and 'WHAT="dumps/gram"' in done.stderr
    ok(pull(pulled, "dumps"))
    assert results(pulled) == before and planned(plan(pulled)) == {}
    said = ok(tool(pulled, "python", "-m", "sightlines.sharing.verify", "smoke"))
    assert said.endswith("compared, 0 differ\n")


@pytest.mark.thorough
def test_an_experiment_is_shared_without_dumps(smoke, tmp_path):
    folder = tmp_path / "origin"
    kept = shutil.ignore_patterns(".cache", ".venv")
    shutil.copytree(smoke, folder, symlinks=True, ignore=kept)
    dumps = len([*(folder / R / "dumps").rglob("*.safetensors")])
    ok(clean(folder))
    ok(tool(folder, "git", "init", "--quiet", "--initial-branch", "main"))
    ok(tool(folder, "git", "add", "--all"))
    ok(tool(folder, *GIT, "commit", "--quiet", "--message", "Code"))
    ok(tool(folder, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store")))
    assert f"Without {dumps} dumps" in ok(share(folder))
    ok(tool(folder, *GIT, "commit", "--quiet", "--all", "--message", "Results"))
    clone = clone_of(folder, tmp_path / "clone")
    assert "dumps" not in ok(pull(clone))
    assert planned(plan(clone)) == {}
    cka = Path(clone, "src/sightlines/measures/cka.py")
    cka.write_text(cka.read_text() + "\nassert __name__\n")
    assert planned(plan(clone)) == after_cka(Experiment.open(SMOKE))
