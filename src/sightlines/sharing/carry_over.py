"""Write the table of stages whose results an older version made, byte for byte, as this one does.

    python -m sightlines.sharing.carry_over --old v0.1     # runs `smoke` with both, then compares
    python -m sightlines.sharing.carry_over --old v0.1 --old-results ../old --new-results .

Each version runs in a clone of its own, with its own environment; or folders are named in which it
ran to its end. Then each job of the newer run is held against the older run's job that made the
same files. A stage gets an entry only where all its jobs agree: the same slice of the config, the
same bytes read, and the same bytes in every file that the newer version writes, all as recorded.
Digests, commands and parameters are taken from the two runs' records.
Entries of the same older version that are in the table make way.
"""

import argparse
import contextlib
import filecmp
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sightlines.core.checkout import exit_status
from sightlines.core.errors import ResultError
from sightlines.core.files import sha256
from sightlines.core.git import must_git
from sightlines.plan.experiment_names import name_of
from sightlines.sharing.carried import TABLE, Command, Stage, images_of, read_table, write_table
from sightlines.sharing.explain import say
from sightlines.sharing.provenance import Provenance, job_code, job_config, local_jobs

SMOKE = Path("workflow/config/smoke.yaml")
CLONES = Path(".cache/sightlines/carry_over")
CODE = ("src", "workflow", "Snakefile")
"""What of a folder makes results."""


@dataclass(frozen=True)
class Run:
    """A finished experiment of one version.

    Attributes:
        folder: Its checkout.
        commit: The version.
        jobs: What its records tell.
    """

    folder: Path
    commit: str
    jobs: list[Provenance]


@dataclass(frozen=True)
class LeftOut:
    """A stage without an entry.

    Attributes:
        rule: Its rule.
        jobs: Number of jobs of the newer run.
        why: The first thing that differs.
    """

    rule: str
    jobs: int
    why: str


def compare(old: Run, new: Run) -> tuple[list[Stage], list[LeftOut]]:
    """Stages of the newer run that the older one made alike, and those that it did not.

    What is the same in both, command and all, needs no entry and is in neither.
    """
    by_output = {path: job for job in old.jobs for path in job.outputs}
    groups: dict[tuple[str, str, str], list[tuple[Provenance | None, Provenance]]] = {}
    for job in new.jobs:
        before = next((by_output[p] for p in job.outputs if p in by_output), None)
        key = _rule(job), job_code(before) if before else "", job_code(job)
        groups.setdefault(key, []).append((before, job))
    stages, left_out = [], []
    targets = Counter((rule, old_code) for rule, old_code, _ in groups)
    for (rule, old_code, _), pairs in sorted(groups.items()):
        why = next((w for a, b in pairs if (w := _difference(old.folder, a, new.folder, b))), "")
        if not why and targets[rule, old_code] > 1:
            why = f"one old digest ({old_code}) stands for several new ones"
        found = {_stage(a, b, (old.commit, new.commit), len(pairs)) for a, b in pairs if a}
        if not why and len(found) > 1:
            why = "how its command changed depends on the network or the experiment"
        if why:
            left_out.append(LeftOut(rule, len(pairs), why))
        else:
            stages += [s for s in found if s.old != s.new or s.no_longer_read]
    return stages, left_out


def _rule(job: Provenance) -> str:
    return str(job.metadata.get("rule"))


def _difference(old_folder: Path, old: Provenance | None, new_folder: Path, new: Provenance) -> str:
    """Why an older job does not show what a newer one makes; empty where it does."""
    if old is None:
        return f"the older version does not make {next(iter(new.outputs))}"
    if _rule(old) != _rule(new):
        return f"its rule was {_rule(old)}"
    if not all(
        job_code(job) and repr(job_code(job)) in job.metadata["params"] for job in (old, new)
    ):
        return f"no whole record tells how {new.name} was made"
    if job_config(old) != job_config(new):
        return f"{new.name}: the config that it uses differs"
    for kind, before, now in (
        ("reads", old.inputs, new.inputs),
        ("writes", old.outputs, new.outputs),
    ):
        added = sorted(now.keys() - before.keys())
        if added:
            return f"{new.name} also {kind} {added[0]}"
        others = sorted(path for path, digest in now.items() if before[path] != digest)
        if others:
            return f"{new.name} {kind} other bytes: {others[0]}"
        left, kept = _names(before.keys() - now.keys()), _names(now)
        if left & kept:
            return f"{new.name} no longer {kind} some files called {min(left & kept)}"
    for path, digest in new.outputs.items():
        here, there = old_folder / path, new_folder / path
        if not (here.is_file() and there.is_file()):
            return f"{path} is not in both folders"
        if not filecmp.cmp(here, there, shallow=False) or sha256(here) != digest:
            return f"{path} is not what its record says"
    if any("/" in param for params in _other_params(old, new) for param in params):
        return "parameters that name files have another form"
    return ""


def _stage(old: Provenance, new: Provenance, commits: tuple[str, str], jobs: int) -> Stage:
    old_params, new_params = _other_params(old, new)
    return Stage(
        rule=_rule(new),
        old=Command(job_code(old), str(old.metadata["code"]), old_params),
        new=Command(job_code(new), str(new.metadata["code"]), new_params),
        commits=commits,
        jobs=jobs,
        no_longer_read=tuple(sorted(_names(old.inputs.keys() - new.inputs.keys()))),
        no_longer_written=tuple(sorted(_names(old.outputs.keys() - new.outputs.keys()))),
        images=tuple(sorted(images_of(new))),
    )


def _other_params(old: Provenance, new: Provenance) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Parameters that only the older and only the newer command has, but for their digests."""
    before = {*old.metadata["params"]} - {repr(job_code(old))}
    now = {*new.metadata["params"]} - {repr(job_code(new))}
    return tuple(sorted(before - now)), tuple(sorted(now - before))


def _names(paths: Iterable[str]) -> set[str]:
    return {PurePosixPath(path).name for path in paths}


def finished(folder: Path, experiment: str, revision: str) -> Run:
    """A finished experiment in a clean checkout of a version.

    Raises:
        ResultError: the folder is not of that version, its code was edited, or nothing ran there.
    """
    commit = must_git(ResultError, "rev-parse", "HEAD", folder=folder)
    asked = must_git(ResultError, "rev-parse", f"{revision}^{{commit}}", folder=folder)
    if asked != commit:
        raise ResultError(f"{folder} is at {commit[:7]}, not at {revision}")
    words = ("status", "--porcelain", "--", *CODE)
    if changed := must_git(ResultError, *words, folder=folder):
        raise ResultError(f"{folder} has changes that are not committed: {changed.splitlines()[0]}")
    with contextlib.chdir(folder):
        jobs = [job for job in local_jobs(experiment) if all(job.outputs.values())]
        jobs = [job for job in jobs if any(Path(path).is_file() for path in job.outputs)]
    if not any(job.log.startswith(f"results/{experiment}/") for job in jobs):
        raise ResultError(f"{folder} has no records of {experiment}: run it there to its end")
    return Run(folder, commit[:7], jobs)


def make(revision: str, config: Path) -> Path:
    """Run an experiment in a clone of its own of a version; what is there already is kept.

    Returns:
        The clone.

    Raises:
        ResultError: git, `make setup` or Snakemake failed.
    """
    commit = must_git(ResultError, "rev-parse", f"{revision}^{{commit}}")
    folder = CLONES / commit[:12]
    if not folder.exists():
        _call(Path(), "git", "clone", "--quiet", "--no-checkout", ".", str(folder))
        _call(folder, "git", "checkout", "--quiet", "--detach", commit)
    _call(folder, "make", "run", f"CONFIG={config}")
    return folder


def _call(folder: Path, *words: str) -> None:
    say(f"{folder}: {' '.join(words)}")
    if subprocess.run(words, cwd=folder, stdout=sys.stderr).returncode:
        raise ResultError(f"`{' '.join(words)}` failed in {folder}")


def carry_over(old: Run, new: Run, table: Path = TABLE) -> Iterator[str]:
    """Compare two runs, write the table, and tell of each stage what came of it, line by line.

    Raises:
        ResultError: the table that is there is damaged.
        ShareError: the table has merge conflicts.
    """
    stages, left_out = compare(old, new)
    kept = [stage for stage in read_table(table).values() if stage.commits[0] != old.commit]
    found = {stage.key: stage for stage in (*kept, *stages)}
    write_table(found.values(), table)
    rules = [*(stage.rule for stage in stages), *(stage.rule for stage in left_out)]
    width = max(map(len, rules), default=0)
    for stage in stages:
        how = f"{stage.old.code} → {stage.new.code}"
        how += "" if stage.old.shell == stage.new.shell else ", another command"
        yield f"  {stage.rule:<{width}} {stage.jobs:>3}  {how}"
    yield f"{len(stages)} stages of {old.commit} are carried over to {new.commit} ({table})."
    if left_out:
        yield f"{len(left_out)} are not:"
    yield from (f"  {stage.rule:<{width}} {stage.jobs:>3}  {stage.why}" for stage in left_out)


def main() -> int:
    """Read the arguments, compare the two versions, and give the exit status."""
    parser = argparse.ArgumentParser(description="Which results of an older version still hold.")
    parser.add_argument("--old", required=True, help="the older version, as git knows it")
    parser.add_argument("--new", default="HEAD", help="the newer one (default: HEAD)")
    parser.add_argument("--old-results", type=Path, help="checkout in which the older one ran")
    parser.add_argument("--new-results", type=Path, help="checkout in which the newer one ran")
    parser.add_argument("--config", type=Path, default=SMOKE, help="the experiment (smoke)")
    parser.add_argument("--table", type=Path, default=TABLE)
    arguments = parser.parse_args()

    def work() -> None:
        experiment = name_of(arguments.config)
        old, new = (
            finished(folder or make(revision, arguments.config), experiment, revision)
            for revision, folder in (
                (arguments.old, arguments.old_results),
                (arguments.new, arguments.new_results),
            )
        )
        for line in carry_over(old, new, arguments.table):
            print(line)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
