"""Experiments on a real SLURM of one node, which loses its power once."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sightlines.core.files import read_json
from tests.workflow.conftest import MADE, ROOT, SMOKE, copy_project, ok, results, snakemake, tool
from tests.workflow.planning import planned
from tests.workflow.servers import ssh_server

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
SCRIPT = Path(__file__).with_name("slurm.sh")


@pytest.fixture
def cluster(tmp_path):
    if os.geteuid() or not shutil.which("slurmctld"):
        pytest.skip("needs root and Debian's slurm-wlm and munge")
    state = tmp_path / "slurm"
    subprocess.run([SCRIPT, "up", state], check=True)
    yield state
    subprocess.run([SCRIPT, "down", state], check=True)


@pytest.fixture
def with_plugin(tmp_path):
    """This environment with the extra `slurm` on top of it, in a folder of its own."""
    extra = tmp_path / "extra"
    project = (ROOT / "pyproject.toml").read_text()
    plugin = re.search(r"^slurm = \[\"(.*)\"\]", project, re.MULTILINE).group(1)
    uv = Path(sys.executable).with_name("uv")
    words = [uv, "pip", "install", "--quiet", "--no-deps", "--target", extra, "--python"]
    jobstep = "snakemake-executor-plugin-slurm-jobstep"
    subprocess.run([*words, sys.executable, plugin, jobstep, "throttler"], check=True)
    return extra


GROUP, SUBMITTED = "Group job dumps_of_", "has been submitted with SLURM jobid"
RUNS_A_NETWORK = r"^rule (train_network|import_network|make_control|finetune_|dump_(?!pixels))"
"""A job that is in no group; those of a group are indented."""
SMALL = """
dataset: {kind: shapes, n_train: 300, n_test: 200, n_conflict: 0}
splits: {validation: 60, reference_batches: 2, reference_batch_size: 16,
         probe_train: 40, probe_held_out: 20, probe_test: 40}
models:
  vit_small: {label: ViT-S, family: vit, patch_px: 8, width: 24, depth: 2, heads: 3}
  mixer: {label: Mixer, family: mixer, patch_px: 8, width: 24, depth: 2}
runs:
  - {models: [vit_small, mixer], fractions: [f100], seeds: [s0]}
train: {steps: 2, batch_size: 16, warmup_steps: 1, evaluate_every_steps: 2, precision: fp32}
figures: [fig01_cka_within, fig09_localisation]
"""
MINE = "workflow/config/small.yaml"
IN_PASS = ["gram", "localisation"]
OUTAGE_S = 30
"""Longer than SLURM gives a job to begin (BatchStartTimeout and MessageTimeout, 10 s each): of a
node that is back sooner it takes the job that was lost for one yet to begin, and holds on to it."""
GIT = ("git", "-c", "user.name=A", "-c", "user.email=a@localhost")


def start(folder, extra, *options, config=SMOKE, out=subprocess.PIPE):
    """A Snakemake of the checkout `folder` that submits to SLURM."""
    program = Path(sys.executable).with_name("snakemake")
    words = [program, "--workflow-profile", "profiles/slurm", "--configfile", config, *options]
    path = os.pathsep.join([str(folder / "src"), str(extra)])
    env = os.environ | {"PYTHONPATH": path}
    words += ["--resources", "gpu=2"]
    return subprocess.Popen(
        words, cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT, text=True
    )


def of_slurm(field):
    """One field of all jobs that SLURM knows, with the name of each job's rule or group."""
    shown = subprocess.run(["scontrol", "show", "jobs"], capture_output=True, text=True).stdout
    found = []
    for job in filter(None, shown.split("\n\n")):
        name, value = (re.search(rf"\b{what}=(\S+)", job) for what in ("Comment", field))
        found.append((name[1].removeprefix("rule_"), value and value[1]))
    return found


def test_the_smoke_experiment_on_slurm(smoke, cluster, with_plugin, tmp_path):
    folder = tmp_path / "project"
    copy_project(smoke, folder, left_out=MADE)
    run = start(folder, with_plugin)
    said, _ = run.communicate()
    assert run.returncode == 0, said
    assert (folder / "results/smoke/report.html").exists()
    jobs = (cluster / "log/jobs.txt").read_text().splitlines()
    assert len(jobs) == said.count(SUBMITTED) > 60
    assert all("JobState=COMPLETED" in line for line in jobs)
    groups = said.count(GROUP)
    networks = len(re.findall(RUNS_A_NETWORK, said, re.MULTILINE)) + groups
    assert networks > groups >= 7
    shown = subprocess.run(["scontrol", "show", "jobs"], capture_output=True, text=True).stdout
    assert shown.count("TresPerJob=gres:gpu:1") == networks
    assert sum("mem=8000M" in line for line in jobs) == networks
    assert len(list((folder / ".snakemake/slurm_logs").rglob("*.log"))) == len(jobs)
    assert (folder / "results/smoke/records/train/vit_small/f100/s0.json").exists()
    grams = [*(folder / "results/smoke/records/dump/gram").rglob("*.json")]
    assert len(grams) == 7 and all(read_json(path)["shared_pass"] for path in grams)
    found, expected = results(folder), results(smoke)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def below(process):
    """A process and all that it started, and these."""
    children = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [process]
    for each in found:
        found += children.get(each, [])
    return found


def cut_power(state):
    """The node's daemon, its steps and their jobs end at once, without a word to anybody."""
    roots = [int((state / "slurmd.pid").read_text())]
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if path.read_text().strip() == "slurmstepd":
                roots.append(int(path.parent.name))
    for process in [each for root in roots for each in below(root)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def whole(folder):
    """All results; not what a process was writing when it was killed."""
    return {name: b for name, b in results(folder).items() if not name.endswith(".part")}


def wait_for(what, run, said, poll_s=0.01):
    while not what():
        assert run.poll() is None, said.read_text()
        time.sleep(poll_s)


@pytest.fixture
def project(tmp_path):
    """A checkout in git with a small experiment of two networks."""
    folder = tmp_path / "project"
    copy_project(ROOT, folder)
    (folder / MINE).write_text(SMALL)
    ok(tool(folder, "git", "init", "--quiet", "--initial-branch", "main"))
    ok(tool(folder, "git", "add", "--all"))
    ok(tool(folder, *GIT, "commit", "--quiet", "--message", "Code"))
    return folder


def test_a_node_that_is_lost_in_the_middle_of_a_group(project, cluster, with_plugin, tmp_path):
    """The run goes on; what it made is shared, and continued in a clone."""
    local = tmp_path / "local"
    ok(snakemake(local, "--configfile", project / MINE, "--cores", "2"))
    expected = results(local)
    said = tmp_path / "said.txt"
    with said.open("w") as out:
        run = start(project, with_plugin, config=MINE, out=out)
    stage = project / ".cache/sightlines/passes/small"
    files = lambda: [*stage.glob("*.safetensors"), *stage.glob(".*.part")]  # noqa: E731
    wait_for(files, run, said)
    cut_power(cluster)
    assert whole(project).items() <= expected.items(), "half of a file is taken for a result"
    time.sleep(OUTAGE_S)
    subprocess.run(["slurmd", "-N", socket.gethostname().partition(".")[0]], check=True)
    assert run.wait() == 0, said.read_text()

    assert whole(project) == expected
    records = [read_json(p) for p in (project / "results/small/records/dump/gram").rglob("*.json")]
    # Beside a dump that was staged when the power went, the other is recorded alone.
    shared = [record.get("shared_pass", IN_PASS) for record in records]
    assert shared == [IN_PASS] * 2
    restarts = [(name, n) for name, n in of_slurm("Restarts") if name.startswith("dumps_of_")]
    assert len(restarts) == said.read_text().count(GROUP) == 2, "a group is one job"
    assert {n for _, n in restarts} & {"1", "2"}
    assert {cpus for name, cpus in of_slurm("NumCPUs")} == {"1"}

    share = ("-m", "sightlines.sharing.share", MINE)
    with ssh_server(tmp_path / "sshd") as server:
        store = server.url(str(tmp_path / "store"))
        ok(tool(project, "dvc", "remote", "add", "--default", "lab", store))
        login = ("--local", "lab", "keyfile", str(server.login_key))
        ok(tool(project, "dvc", "remote", "modify", *login))
        ok(tool(project, "python", *share, **server.environment()))
        ok(tool(project, *GIT, "commit", "--quiet", "--all", "--message", "Results"))
        clone = tmp_path / "clone"
        ok(tool(tmp_path, "git", "clone", "--quiet", str(project), str(clone)))
        ok(tool(clone, "dvc", "remote", "modify", *login))
        pull = ("-m", "sightlines.sharing.pull", MINE)
        ok(tool(clone, "python", *pull, **server.environment()))
    assert results(clone) == expected
    go_on = ("--configfile", MINE, "--cores", "2")
    assert planned(tool(clone, "snakemake", *go_on, "-n")) == {}
    (clone / MINE).write_text(SMALL.replace("seeds: [s0]", "seeds: [s0, s1]"))
    more = planned(tool(clone, "snakemake", *go_on, "-n"))
    assert more["train_network"] == more["dump_gram"] == more["dump_localisation"] == 2
