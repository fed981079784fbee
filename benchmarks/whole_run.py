"""What does a whole experiment cost now, and what did it cost at an older version?

    python benchmarks/whole_run.py                                  # clones of both, run here
    python benchmarks/whole_run.py --old FOLDER --new FOLDER        # checkouts that are there
    python benchmarks/whole_run.py --finished --old FOLDER --new FOLDER    # runs nothing
    python benchmarks/whole_run.py --part rest …                    # all but the training

Runs the experiment in a checkout of each version, one after the other, and prints CPU seconds
by kind of job, side by side, as the jobs' records have them. What these leave out is printed apart:
Snakemake's own process, and all processes together, imports and starts counted. `--part rest`
gives the newer checkout the older one's images and networks and has the newer version compute all
that is made of them. Goals: everything but training and fine-tuning at most 0.40 × that of c863f11;
Snakemake's own process at most 30 s in `default`.
"""

import argparse
import csv
import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BASELINE = "c863f11"
CLONES = Path(".cache/sightlines/whole_run")
MEASURED = Path(".cache/sightlines/whole_run.json")
"""In a checkout: what was measured of its last run here."""
TICKS = os.sysconf("SC_CLK_TCK")
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
TRAINING = "training and fine-tuning"
DATA = "images and splits"
STAGES = {"measure": "measures and claims", "claims": "measures and claims", "draw": "figures"}
"""What the other kinds of jobs are called, by the first word of their records' names."""
ENDS = ("tables", "figures")
"""Folders of results that both versions must have the same files in."""


@dataclass
class Run:
    """One version's run of the experiment.

    Attributes:
        jobs: Kind of job -> their number and CPU seconds, by their records.
        files: Tables and figures.
        claims: Verdict by claim.
        measured: wall_s, own_s (Snakemake's own process), threads (most at once) and tree_s (all
            processes together); empty where the run was not measured.
    """

    jobs: dict[str, tuple[int, float]]
    files: set[str]
    claims: dict[str, str]
    measured: dict[str, float]


def kind(job: str) -> str:
    """Kind of a job by its record's name, such as ``transfer/textures/features/vit/f100/s0``."""
    parts = job.split("/")
    if parts[0] == "train" or "finetune" in parts:
        return TRAINING
    if parts[0] == "data" or parts[-1] in ("splits", "reference", "probes") or "prepare" in parts:
        return DATA
    if parts[0] == "dump":
        return parts[1]
    if parts[0] == "transfer":
        return f"{parts[2].removeprefix('tuned_').removeprefix('shown_')} of other tasks"
    return STAGES.get(parts[0], parts[0])


def read(folder: Path, experiment: str, measured: Path) -> Run:
    """What a finished run left.

    Raises:
        SystemExit: it did not come to its end.
    """
    results = folder / "results" / experiment
    if not (results / "report.html").is_file():
        sys.exit(f"{results} has no report: the run there did not come to its end")
    jobs: dict[str, tuple[int, float]] = {}
    for path in (results / "records").rglob("*.json"):
        record = json.loads(path.read_text())
        if not any((folder / output).is_file() for output in record["outputs"]):
            continue  # of an earlier config
        count, seconds = jobs.get(kind(record["job"]), (0, 0.0))
        jobs[kind(record["job"])] = count + 1, seconds + record["cpu_s"]
    files = {
        path.relative_to(results).as_posix()
        for part in ENDS
        for path in (results / part).rglob("*")
        if path.is_file()
    }
    with (results / "tables" / "claims.csv").open(newline="") as table:
        claims = {row["claim"]: row["verdict"] for row in csv.DictReader(table)}
    return Run(jobs, files, claims, _measured(measured))


def _measured(path: Path) -> dict[str, float]:
    """What was measured of a run; the older form counted no process that others had started."""
    if not path.is_file():
        return {}
    found = json.loads(path.read_text())
    if "self_user" in found:
        own_s = found["self_user"] + found["self_sys"]
        threads = {"threads": found["threads"]} if "threads" in found else {}
        return {"wall_s": found["wall"], "own_s": own_s} | threads
    return dict(found)


class Watch(threading.Thread):
    """Samples Snakemake's process while it runs."""

    def __init__(self, process: int) -> None:
        """Prepare for a process number."""
        super().__init__(daemon=True)
        self._stat = Path("/proc", str(process), "stat")
        self.own_s, self.threads = 0.0, 0

    def run(self) -> None:
        """Sample until the process is gone; what it used in its last moments is not seen."""
        while True:
            try:
                fields = self._stat.read_text().rpartition(")")[2].split()
            except OSError:
                return
            if fields[0] == "Z":
                return
            self.own_s = (int(fields[11]) + int(fields[12])) / TICKS
            self.threads = max(self.threads, int(fields[17]))
            time.sleep(0.1)


def run(folder: Path, config: str, cores: int, options: list[str]) -> None:
    """Run the experiment in a checkout, and note what was measured.

    Processes that outlive those that started them, as the warm one does, are ours to wait for.

    Raises:
        SystemExit: Snakemake failed.
    """
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    program = [str(folder / ".venv/bin/python"), str(folder / ".venv/bin/snakemake")]
    command = [*program, "--configfile", config, "--cores", str(cores), *options]
    path = f"{folder / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    before, began = _children_s(), time.monotonic()
    print(f"{folder}: {' '.join(command[1:])}", file=sys.stderr, flush=True)
    log = folder / ".cache/sightlines/whole_run.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as sink:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PATH": path},
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
        watch = Watch(process.pid)
        watch.start()
        status = process.wait()
    wall_s = time.monotonic() - began
    watch.join()
    if status:
        sys.exit(f"the run in {folder} failed: see {log}")
    _wait_for_the_rest()
    measured = {
        "wall_s": wall_s,
        "own_s": watch.own_s,
        "threads": watch.threads,
        "tree_s": _children_s() - before,
    }
    (folder / MEASURED).write_text(json.dumps(measured))


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _wait_for_the_rest() -> None:
    """The warm process ends a second after its Snakemake."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def checkout(revision: str, name: str) -> Path:
    """A clone of a version with its environment, made if need be; results that are there stay."""
    folder = ROOT / CLONES / name
    if not folder.exists():
        _call(ROOT, "git", "clone", "--quiet", "--no-checkout", str(ROOT), str(folder))
    _call(folder, "git", "fetch", "--quiet", "origin")
    _call(folder, "git", "checkout", "--quiet", "--detach", revision)
    _call(folder, "make", "setup")
    return folder


def _call(folder: Path, *words: str) -> None:
    if subprocess.run(words, cwd=folder, stdout=sys.stderr).returncode:
        sys.exit(f"`{' '.join(words)}` failed in {folder}")


def _commit(folder: Path) -> str:
    words = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def require_nothing(folder: Path, experiment: str) -> None:
    """Stop where a run would find results: it would compute less.

    Raises:
        SystemExit: there are some.
    """
    if (results := folder / "results" / experiment).exists():
        sys.exit(
            f"{results} is there: move it away, or give --finished to compare what its records say"
        )


def hand_over(old: Path, new: Path, experiment: str) -> None:
    """Give a checkout another one's images and networks, with how they were made."""
    shutil.copytree(old / "data", new / "data", dirs_exist_ok=True)
    source, target = old / "results" / experiment, new / "results" / experiment
    target.mkdir(parents=True)
    shutil.copy2(source / "provenance.json", target)
    for part in ("data", "models"):
        places = [source / part, *source.glob(f"transfer/*/{part}")]
        for place in places:
            if place.is_dir():
                shutil.copytree(place, target / place.relative_to(source))


def show(old: Run, new: Run, is_rest: bool) -> None:
    """Print both, kind by kind."""
    left_out = {TRAINING, DATA} if is_rest else {TRAINING}
    width = max(map(len, (*old.jobs, *new.jobs, "without training and fine-tuning")))
    print(f"{'CPU s':{width}s}  jobs       old  jobs       new  new / old")

    def line(name: str, before: tuple[int, float], now: tuple[int, float]) -> None:
        ratio = f"{now[1] / before[1]:10.2f}" if before[1] else ""
        print(
            f"{name:{width}s} {before[0]:5d} {before[1]:9.1f} {now[0]:5d} {now[1]:9.1f} {ratio}",
            flush=True,
        )

    nothing = 0, 0.0
    kinds = sorted({*old.jobs, *new.jobs}, key=lambda k: -old.jobs.get(k, nothing)[1])
    for name in kinds:
        line(name, old.jobs.get(name, nothing), new.jobs.get(name, nothing))
    sums = []
    for found in (old, new):
        parts = [v for k, v in found.jobs.items() if k not in left_out]
        sums.append((sum(n for n, _ in parts), sum(s for _, s in parts)))
    line("jobs but those" if is_rest else "jobs without training", *sums)
    if "own_s" in old.measured and "own_s" in new.measured:
        own = [old.measured["own_s"], new.measured["own_s"]]
        line("Snakemake's own process", (1, own[0]), (1, own[1]))
        line("both", *((n + 1, s + o) for (n, s), o in zip(sums, own, strict=True)))
    trees = [found.measured.get("tree_s") for found in (old, new)]
    trained = [found.jobs.get(TRAINING, nothing)[1] for found in (old, new)]
    if is_rest:
        trained = [trained[0], 0.0]  # the newer version trained nothing
    others = [None if t is None else t - s for t, s in zip(trees, trained, strict=True)]
    for what, values in (
        ("all processes together, CPU s", trees),
        ("all processes but training", others),
        ("wall time, s", [found.measured.get("wall_s") for found in (old, new)]),
        ("Snakemake's threads at most", [found.measured.get("threads") for found in (old, new)]),
    ):
        told = ["not measured" if v is None else f"{v:.0f}" for v in values]
        print(f"{what:{width}s} {told[0]:>15s} {told[1]:>15s}")
    for what, before, now in (
        ("tables and figures", old.files, new.files),
        ("claims", old.claims.keys(), new.claims.keys()),
    ):
        lost = ", ".join(sorted(before - now)) or "none"
        print(f"{what}: {len(before)} → {len(now)}; of the old ones missing: {lost}")
    turned = [c for c in sorted(old.claims) if new.claims.get(c, "") != old.claims[c]]
    print(f"claims with another verdict: {', '.join(turned) or 'none'}")


def main() -> None:
    """Read the arguments, run what is to be run, compare."""
    parser = argparse.ArgumentParser(description="A whole experiment, now and before.")
    parser.add_argument("--old", type=Path, help=f"checkout of {BASELINE} with its .venv")
    parser.add_argument("--new", type=Path, help="checkout of this version with its .venv")
    parser.add_argument("--configfile", default="workflow/config/default.yaml")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--part", choices=("all", "rest"), default="all")
    parser.add_argument("--finished", action="store_true", help="run nothing: read what is there")
    parser.add_argument("--old-measured", type=Path, help="measured of the older run, as JSON")
    given = parser.parse_args()
    experiment = Path(given.configfile).stem
    if given.finished and not (given.old and given.new):
        parser.error("--finished needs --old and --new")
    old = given.old or checkout(BASELINE, "old")
    new = given.new or checkout(_commit(ROOT), "new")
    old, new = old.resolve(), new.resolve()
    is_rest = given.part == "rest"
    old_measured = given.old_measured or old / MEASURED
    if not given.finished:
        require_nothing(new, experiment)
        # A finished older run need not be repeated to give its networks, or where it was measured.
        is_there = (old / "results" / experiment / "report.html").is_file()
        if not (is_there and (is_rest or old_measured.is_file())):
            require_nothing(old, experiment)
            run(old, given.configfile, given.cores, [])
        if is_rest:
            hand_over(old, new, experiment)
        options = ["--config", "recompute=true"] if is_rest else []
        run(new, given.configfile, given.cores, options)
    show(read(old, experiment, old_measured), read(new, experiment, new / MEASURED), is_rest)


if __name__ == "__main__":
    main()
