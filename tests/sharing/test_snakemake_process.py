"""What Snakemake's process does for each job, held and not held, in the Snakemake in use."""

import json
import os
import random
import subprocess
import sys
import time

import pytest
from snakemake.scheduling.greedy import Scheduler, SchedulerSettings

from sightlines.core.file_hashes import SETTLED_NS
from sightlines.sharing.snakemake_process import Later, Waiting

SHORT = 17
OUTPUTS = 2
SNAKEFILE = f"""
rule all:
    input: expand("out/{{i}}.b", i=range({SHORT})), "long", "last"

rule short:
    input: "in"
    output: "out/{{i}}.a", "out/{{i}}.b"
    params: name="a parameter"
    priority: 3
    shell: "touch {{output}}"

rule long:
    output: "long"
    priority: 2
    shell: "sleep 2; touch {{output}}"

rule last:
    output: "last"
    shell: "touch {{output}}"
"""
NO_NEED = "this Snakemake does so by itself: take it out of sharing/snakemake_process.py"


def count(folder, is_held):
    """Run the toy with one core; what was counted."""
    folder.mkdir()
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "in").write_text("the same for all")
    os.utime(folder / "in", (1e9, 1e9))
    time.sleep(SETTLED_NS / 1e9)  # its hash is remembered from then on
    words = [sys.executable, "-m", "tests.sharing.counting_snakemake", "yes" if is_held else "no"]
    words += ["--directory", str(folder), "--snakefile", str(folder / "Snakefile")]
    words += ["--cores", "1", "--scheduler", "greedy", "--max-checksum-file-size", "1GB"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / "last").exists() and (folder / "long").exists()
    metadata = [p for p in (folder / ".snakemake/metadata").rglob("*") if p.is_file()]
    checksums = [json.loads(p.read_text())["input_checksums"] for p in metadata]
    assert len(checksums) == OUTPUTS * SHORT + 2
    assert len({json.dumps(c) for c in checksums if c}) == 1
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.workflow
@pytest.mark.thorough
def test_snakemake_s_rounds_weighings_and_readings_are_held_and_still_need_it(tmp_path):
    held, bare = count(tmp_path / "held", True), count(tmp_path / "bare", False)
    assert bare["timers"] > SHORT // 2, NO_NEED
    assert held["timers"] == 1
    assert bare["weighed"] > SHORT**2 // 2, NO_NEED
    assert held["weighed"] <= 3 * (SHORT + 3)
    assert bare["read"] == OUTPUTS * SHORT, NO_NEED
    assert held["read"] == 1
    assert bare["pandas"], NO_NEED
    assert not held["pandas"]


@pytest.mark.workflow
def test_an_input_that_changes_is_read_again(tmp_path):
    (tmp_path / "Snakefile").write_text(
        'rule all:\n    input: "a", "b"\n'
        'rule first:\n    input: "in"\n    output: "a"\n    priority: 1\n'
        '    shell: "touch {output}"\n'
        'rule second:\n    input: "in"\n    output: "b"\n'
        '    shell: "sleep 0.1; echo other >in; touch -d 1999-01-01 in; touch {output}"\n'
    )
    (tmp_path / "in").write_text("first\n")
    os.utime(tmp_path / "in", (9e8, 9e8))
    time.sleep(SETTLED_NS / 1e9)
    words = [sys.executable, "-m", "tests.sharing.counting_snakemake", "yes", "--cores", "1"]
    words += ["--directory", str(tmp_path), "--snakefile", str(tmp_path / "Snakefile")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["read"] == 2


class File(int):
    """An input, by its number."""

    def is_flagged(self, _):
        """None is temporary."""
        return False


class SimpleJob:
    """What the greedy scheduler looks at."""

    def __init__(self, resources, priority, files):
        """Of one job."""
        self.scheduler_resources, self.priority, self.input = resources, priority, files


@pytest.mark.parametrize("seed", range(20))
def test_the_greedy_scheduler_takes_the_same_jobs_as_of_all(seed):
    draw = random.Random(seed)
    greedy = Scheduler(None, SchedulerSettings(), None)
    sizes = dict(enumerate(draw.sample(range(1000), 60)))
    jobs = {
        SimpleJob(
            {"_cores": draw.choice([1, 1, 2]), "gpu": draw.choice([0, 0, 1]), "tmpdir": "x"},
            draw.choice([0, 0, 5]),
            [File(number)],
        )
        for number in sizes
    }
    free = {"_cores": draw.randint(1, 5), "gpu": draw.randint(0, 2), "_job_count": 100}
    waiting, weighed = Waiting(), []

    def weigh(job):
        weighed.append(job)
        takes = {k: n for k, n in job.scheduler_resources.items() if n and k in free}
        return tuple(sorted(takes.items())), greedy.job_reward(job, sizes)

    while jobs:
        waiting.update(jobs, weigh)
        of_all = greedy.select_jobs(list(jobs), [], free, sizes)
        shown = waiting.first(free)
        assert set(greedy.select_jobs(shown, [], free, sizes)) == set(of_all)
        assert len(shown) <= 4 * free["_cores"]
        jobs -= set(of_all or draw.sample(sorted(jobs, key=id), 1))
        if draw.random() < 0.2 and of_all:
            jobs.add(of_all[0])  # it failed and is tried again
    waiting.update(set(), weigh)
    assert not waiting.jobs and waiting.first(free) == []
    assert len(weighed) == len(set(weighed)) == len(sizes)


def test_a_list_of_later_is_made_once_and_only_if_somebody_looks():
    made = []

    def make():
        made.append(1)
        return [3, 5]

    later = Later(make)
    assert not made
    assert later and len(later) == 2 and list(later) == [3, 5] and made == [1]
    assert not Later(list)
