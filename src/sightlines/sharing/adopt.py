"""Which results here are what their records say: run each time the Snakefile is read.

Snakemake alone knows nothing of pulled results, and believes whatever lies in an output's place.
So, before it looks, every result is held against two accounts of its making: this folder's own,
and the shared `provenance.json`.

- Bytes and inputs as an account says: Snakemake gets (or keeps) that account, and compares code
  and config itself.
- Anything else (altered, truncated, made from another version of an input, unknown): Snakemake
  gets an account that fits nothing, and makes it again.

When the rules are known, `carry_over` puts accounts of older code that `carried.json` shows to make
the same bytes as today's in the words of today's (`carried.py`).

Where a pulled file is newer than what was made of it, Snakemake would read both at every start;
so verified files then get one common old time. One, because hard links of DVC's cache share it.
Stopped half-way, it begins again at the next start.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sightlines.core.errors import ResultError
from sightlines.core.file_hashes import hash_files
from sightlines.core.files import write_json
from sightlines.jobs.command import record_path
from sightlines.sharing.carried import carry, read_table
from sightlines.sharing.paths import is_ours, refuse_links, result_files
from sightlines.sharing.provenance import Provenance, local_jobs, provenance_path, read_provenance
from sightlines.sharing.records import read_record
from sightlines.sharing.snakemake_records import (
    being_made,
    install,
    invalidate,
    read_one,
    written_ns,
)

LOCK = Path(".cache/sightlines/adopt.lock")
ADOPTED_S = 1_000_000_000.0
"""File time of adopted results: September 2001, older than whatever is made here."""
COMPARED = ("rule", "input", "params", "code")
"""What Snakemake compares of its record, besides checksums."""
LONGEST_CHAIN = 4
"""Of jobs whose outputs may all be absent: data, networks, dumps, tables."""
UNKNOWN = "no record says how it was made"


@dataclass
class Adoption:
    """What was found.

    Attributes:
        adopted: Outputs that came from elsewhere and are as recorded.
        invalidated: Why an output is made again, by its path.
        absent: Recorded outputs that are not here: path -> bytes.
        accounts: What Snakemake has of all that is trusted, and of what is not here.
    """

    adopted: list[str] = field(default_factory=list)
    invalidated: dict[str, str] = field(default_factory=dict)
    absent: dict[str, int] = field(default_factory=dict)
    accounts: list[Provenance] = field(default_factory=list)

    def summary(self) -> str:
        """One or more lines for the terminal; empty where all was known and as recorded."""
        lines = []
        if self.adopted:
            lines.append(f"Adopted {len(self.adopted)} results that were made elsewhere.")
        # What nobody knows may be a note of the user's; if a job makes it, the plan says so.
        shown = [(path, why) for path, why in sorted(self.invalidated.items()) if why != UNKNOWN]
        if shown:
            lines.append(f"{len(shown)} results are not trusted and will be made again:")
            lines += [f"  {path}: {why}" for path, why in shown[:20]]
            lines += [f"  and {len(shown) - 20} more"] if len(shown) > 20 else []
        return "\n".join(lines)


def adopt(experiment: str) -> Adoption:
    """Hold every result of an experiment against its records, and tell Snakemake.

    Raises:
        ResultError: the provenance is damaged or hostile, or a folder leads out of the project.
    """
    folder = Path("results", experiment)
    for place in (folder, Path("data")):
        refuse_links(place)
    with _alone():
        return _Adopter(experiment).run()


def carry_over(
    experiment: str,
    accounts: Iterable[Provenance],
    asked: Callable[[str, Iterable[str]], tuple[str, str] | None],
) -> list[str]:
    """Give Snakemake what older code made as today's, where it is shown to make the same bytes.

    Args:
        experiment: Its name.
        accounts: Those that `adopt` found to fit the files.
        asked: Name of a rule and outputs -> digest and command by which they are made today.

    Returns:
        The outputs here of which that is so.

    Raises:
        ResultError: the table is damaged.
        ShareError: the table has merge conflicts.
    """
    table = read_table()
    carried: list[str] = []
    if not table:
        return carried
    with _alone():
        locked = being_made()
        for made in accounts:
            job = carry(made, table, asked(str(made.metadata.get("rule")), made.outputs))
            if job is not made and all(_has(p, made) and p not in locked for p in job.outputs):
                _write(job, experiment)
                carried += [path for path in job.outputs if Path(path).is_file()]
    return carried


def _has(output: str, job: Provenance) -> bool:
    """Whether Snakemake's record of an output is still that of a job."""
    found = read_one(output) or {}
    return all(found.get(key) == job.metadata.get(key) for key in COMPARED)


def _write(job: Provenance, experiment: str) -> None:
    """Put an account where Snakemake and `sightlines` look for it."""
    log = job.log
    if not log.startswith(f"results/{experiment}/"):  # data that another experiment prepared
        variant = Path(next(iter(job.outputs))).parts[1]
        log = f"results/{experiment}/logs/data/adopted/{variant}.log"
    for output in job.outputs:
        install(output, job.metadata | {"log": [log]})
    if job.record:
        write_json(record_path(Path(log)), job.record, is_lasting=False)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One at a time in a folder; a folder that cannot be written is said where it matters."""
    try:
        LOCK.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class _Adopter:
    def __init__(self, experiment: str) -> None:
        self.experiment = experiment
        self.began_ns = time.time_ns()
        self.here = local_jobs(experiment)
        self.shared = list(read_provenance(experiment).values())
        self.own = {id(job) for job in self.here}
        self.current = {path: job for job in self.here for path in job.outputs}
        self.shared_since = _written(provenance_path(experiment))
        self.locked = being_made()
        present = {*filter(is_ours, result_files(experiment)), *self._present_data()}
        named = {p for job in self._jobs() for p in (*job.inputs, *job.outputs)}
        paths = sorted({*present, *(p for p in named if Path(p).is_file())})
        self.hashes = dict(zip(paths, hash_files(Path(), paths), strict=True))
        self.strays = present - {p for job in self._jobs() for p in job.outputs}
        self.recorded: dict[str, set[str]] = {}
        self.read_as: dict[str, set[str]] = {}
        for job in self._jobs():
            for path, digest in job.outputs.items():
                self.recorded.setdefault(path, set()).add(digest)
            for path, digest in job.inputs.items():
                self.read_as.setdefault(path, set()).add(digest)
        self.found = Adoption()

    def _jobs(self) -> Iterator[Provenance]:
        yield from self.here
        yield from self.shared

    def _present_data(self) -> Iterator[str]:
        """Files below data/ that some account names; other variants are none of our business."""
        outputs = {p for job in self._jobs() for p in job.outputs if p.startswith("data/")}
        return (p for p in outputs if Path(p).is_file())

    def run(self) -> Adoption:
        trusted, absent = [], []
        for outputs, accounts in self._outputs():
            if outputs & self.locked:
                continue
            job, why = self._choose(accounts)
            if not outputs & set(self.hashes):
                absent.append(accounts)
            elif job is None:
                self._invalidate(outputs, why)
            else:
                trusted.append(job)
        self.found.accounts = [*trusted, *self._choose_absent(trusted, absent)]
        for job in self.found.accounts:
            if not self._is_known(job):
                self._install(job)
        self._invalidate(self.strays - self.locked, UNKNOWN)
        for job in self.shared:
            self.found.absent |= {p: s for p, s in job.sizes.items() if p not in self.hashes}
        self._settle_times(trusted)
        return self.found

    def _outputs(self) -> Iterator[tuple[set[str], list[Provenance]]]:
        """Outputs that belong together, with the accounts of them.

        First those that have hashes. Of two the one that came last: a job of this folder that ran
        since `provenance.json` was written, or that file, where git has put it there since.
        """
        by_output: dict[str, list[Provenance]] = {}
        for job in sorted(self._jobs(), key=self._rank):
            for output in job.outputs:
                by_output.setdefault(output, []).append(job)
        seen: set[str] = set()
        for output, accounts in by_output.items():
            if output not in seen:
                together = {p for job in accounts for p in job.outputs}
                seen |= together
                yield together, accounts

    def _rank(self, job: Provenance) -> tuple[bool, int]:
        if id(job) not in self.own:
            return not all(job.outputs.values()), 1
        is_older = _written(record_path(Path(job.log))) < self.shared_since
        return not all(job.outputs.values()), 2 if is_older else 0

    def _choose(self, accounts: list[Provenance]) -> tuple[Provenance | None, str]:
        """The first account that fits the files; else why the last does not."""
        why = UNKNOWN
        for job in accounts:
            why = self._wrong(job)
            if not why:
                return job, ""
        return None, why

    def _wrong(self, job: Provenance) -> str:
        """What speaks against an account; empty where nothing does."""
        for path, digest in job.outputs.items():
            found = self.hashes.get(path, digest)
            if digest and found != digest:
                return "its content is not what its record says"
            # Without a record of its own, it is known by what was made of it.
            if found and not digest and found not in self.read_as.get(path, ()):
                return _unknown(job)
        for path, digest in job.inputs.items():
            known = {self.hashes[path]} if path in self.hashes else self.recorded.get(path, set())
            if known and "" not in known and digest not in known:
                return f"made from another version of {path}"
        return ""

    def _choose_absent(
        self, trusted: list[Provenance], groups: list[list[Provenance]]
    ) -> Iterator[Provenance]:
        """Accounts of what is not here: the versions that the results here were made from.

        Snakemake needs them to see that a changed config or code touches a job whose outputs
        were not pulled.
        """
        wanted = {path: digest for job in trusted for path, digest in job.inputs.items()}
        for _ in range(LONGEST_CHAIN):
            chosen = [
                max(
                    accounts,
                    key=lambda job: sum(wanted.get(p) == h for p, h in job.outputs.items()),
                )
                for accounts in groups
            ]
            wanted |= {path: digest for job in chosen for path, digest in job.inputs.items()}
        yield from chosen

    def _is_known(self, job: Provenance) -> bool:
        """Whether Snakemake's records of the job's outputs, and our own, say just this."""
        if id(job) in self.own:
            return True
        for path, digest in job.outputs.items():
            known = self.current.get(path)
            if known is None or known.outputs[path] != digest or known.inputs != job.inputs:
                return False
            if any(known.metadata.get(key) != job.metadata.get(key) for key in COMPARED):
                return False
        return True

    def _install(self, job: Provenance) -> None:
        if self._is_new(job.outputs):
            return
        _write(job, self.experiment)
        self.found.adopted += [p for p in job.outputs if p in self.hashes]

    def _is_new(self, outputs: Iterable[str]) -> bool:
        """Whether another Snakemake makes these, or has made them while we looked."""
        locked = being_made()
        return any(path in locked or written_ns(path) > self.began_ns for path in outputs)

    def _invalidate(self, outputs: Iterable[str], why: str) -> None:
        outputs = set(outputs)
        if outputs and self._is_new(outputs):
            return
        for output in outputs:
            invalidate(output, why)
            if output in self.hashes:
                self.found.invalidated[output] = why

    def _settle_times(self, trusted: list[Provenance]) -> None:
        """Let no verified input be newer than what was made of it.

        Snakemake takes an input's own time, and an output's link's. Where links lead to a cache
        outside the project, whose times are not ours to change, the links get a later one.
        """
        here = [path for path in self.hashes if Path(path).exists()]
        read = {path: Path(path).stat().st_mtime for path in here}
        made = {path: Path(path).lstat().st_mtime for path in here}

        def is_disturbed(job: Provenance) -> bool:
            oldest = min((made[p] for p in job.outputs if p in made), default=None)
            return oldest is not None and any(read.get(p, 0) > oldest for p in job.inputs)

        if not any(is_disturbed(job) for job in trusted):
            return
        ours = {p for job in trusted for p in (*job.outputs, *job.inputs)} & set(read)
        root = Path().resolve()
        outside = {p for p in ours if not Path(p).resolve().is_relative_to(root)}
        link_time = max((read[p] for p in outside), default=ADOPTED_S)
        for path in ours:
            _set_time(Path(path), None if path in outside else ADOPTED_S, link_time)


def _unknown(job: Provenance) -> str:
    """Why nothing tells how a job's output was made: no record, or one that cannot be read."""
    path = record_path(Path(job.log))
    if not path.is_file():
        return UNKNOWN
    try:
        read_record(path)
    except ResultError:
        return f"its record {path} cannot be read"
    return UNKNOWN


def _set_time(path: Path, time_s: float | None, link_time_s: float) -> None:
    """Give a file the adopted time, and its link one; what is somebody else's keeps its own."""
    with contextlib.suppress(OSError):
        if path.is_symlink():
            os.utime(path, (link_time_s, link_time_s), follow_symlinks=False)
        if time_s is not None:
            os.utime(path, (time_s, time_s))


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
