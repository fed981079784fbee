"""Which results here are what their records say: run each time the Snakefile is read.

Snakemake alone knows nothing of pulled results, and believes whatever lies in an output's place.
So, before it looks, every result is held against two accounts of its making: this folder's own,
and the shared `provenance.json`.

- Bytes and inputs as an account says: Snakemake gets (or keeps) that account, and compares code
  and config itself.
- Anything else (altered, truncated, made from another version of an input, unknown): Snakemake
  gets an account that fits nothing, and makes it again.

Where a pulled file is newer than what was made of it, Snakemake would read both at every start;
so verified files then get one common old time. One, because hard links of DVC's cache share it.
Stopped half-way, it begins again at the next start.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sightlines.file_hashes import hash_files
from sightlines.files import write_json
from sightlines.sharing.paths import refuse_leading_outside
from sightlines.sharing.provenance import (
    MadeBy,
    local_jobs,
    provenance_path,
    read_provenance,
)
from sightlines.sharing.snakemake_records import being_made, distrust, install
from sightlines.stage import record_path

LOCK = Path(".cache/sightlines/adopt.lock")
ADOPTED_S = 1_000_000_000
"""File time of adopted results: September 2001, older than whatever is made here."""
BY_THE_WAY = ("logs", "records")
"""Folders of an experiment whose files are no results."""
NO_RESULTS = ("provenance.json", "metrics.json")
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
        distrusted: Why an output is made again, by its path.
        absent: Recorded outputs that are not here: path -> bytes.
    """

    adopted: list[str] = field(default_factory=list)
    distrusted: dict[str, str] = field(default_factory=dict)
    absent: dict[str, int] = field(default_factory=dict)

    def summary(self) -> str:
        """One or more lines for the terminal; empty where all was known and as recorded."""
        lines = []
        if self.adopted:
            lines.append(f"Adopted {len(self.adopted)} results that were made elsewhere.")
        # What nobody knows may be a note of the user's; if a job makes it, the plan says so.
        shown = [(path, why) for path, why in sorted(self.distrusted.items()) if why != UNKNOWN]
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
        refuse_leading_outside(place)
    with _alone():
        return _Adopter(experiment).run()


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
        self.here = local_jobs(experiment)
        self.shared = read_provenance(experiment)
        self.shared_since = _written(provenance_path(experiment))
        self.locked = being_made()
        present = {*_results(Path("results", experiment)), *self._present_data()}
        present -= {f"results/{experiment}/{name}" for name in NO_RESULTS}
        named = {p for job in self._jobs() for p in (*job.inputs, *job.outputs)}
        paths = sorted({*present, *(p for p in named if Path(p).is_file())})
        self.hashes = dict(zip(paths, hash_files(Path(), paths), strict=True))
        self.strays = present - {p for job in self._jobs() for p in job.outputs}
        self.recorded: dict[str, set[str]] = {}
        for job in self._jobs():
            for path, digest in job.outputs.items():
                self.recorded.setdefault(path, set()).add(digest)
        self.found = Adoption()

    def _jobs(self) -> Iterator[MadeBy]:
        yield from self.here.values()
        yield from self.shared.values()

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
                self._distrust(outputs, why)
            else:
                trusted.append(job)
        for job in [*trusted, *self._choose_absent(trusted, absent)]:
            if not self._is_known(job):
                self._install(job)
        self._distrust(self.strays - self.locked, UNKNOWN)
        for job in self.shared.values():
            self.found.absent |= {p: s for p, s in job.sizes.items() if p not in self.hashes}
        self._settle_times(trusted)
        return self.found

    def _outputs(self) -> Iterator[tuple[set[str], list[MadeBy]]]:
        """Outputs that belong together, with the accounts of them.

        First those that have hashes. Of two the one that came last: a job of this folder that ran
        since `provenance.json` was written, or that file, where git has put it there since.
        """
        by_output: dict[str, list[MadeBy]] = {}
        for job in sorted(self._jobs(), key=self._rank):
            for output in job.outputs:
                by_output.setdefault(output, []).append(job)
        seen: set[str] = set()
        for output, accounts in by_output.items():
            if output not in seen:
                together = {p for job in accounts for p in job.outputs}
                seen |= together
                yield together, accounts

    def _rank(self, job: MadeBy) -> tuple[bool, int]:
        if self.here.get(job.log) is not job:
            return not all(job.outputs.values()), 1
        is_older = _written(record_path(Path(job.log))) < self.shared_since
        return not all(job.outputs.values()), 2 if is_older else 0

    def _choose(self, accounts: list[MadeBy]) -> tuple[MadeBy | None, str]:
        """The first account that fits the files; else why the last does not."""
        why = UNKNOWN
        for job in accounts:
            why = self._wrong(job)
            if not why:
                return job, ""
        return None, why

    def _wrong(self, job: MadeBy) -> str:
        """What speaks against an account; empty where nothing does."""
        for path, digest in job.outputs.items():
            if digest and self.hashes.get(path, digest) != digest:
                return "its content is not what its record says"
        for path, digest in job.inputs.items():
            known = {self.hashes[path]} if path in self.hashes else self.recorded.get(path, set())
            if known and "" not in known and digest not in known:
                return f"made from another version of {path}"
        return ""

    def _choose_absent(self, trusted: list[MadeBy], groups: list[list[MadeBy]]) -> Iterator[MadeBy]:
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

    def _is_known(self, job: MadeBy) -> bool:
        """Whether Snakemake's record of the job says just this."""
        known = self.here.get(job.log)
        if known is None or any(
            known.outputs.get(p) not in ("", h) for p, h in job.outputs.items()
        ):
            return False
        same = (known.metadata.get(key) == job.metadata.get(key) for key in COMPARED)
        return known.inputs == job.inputs and all(same)

    def _install(self, job: MadeBy) -> None:
        for output in job.outputs:
            install(output, job.metadata)
        if job.record and job.log.startswith(f"results/{self.experiment}/"):
            write_json(record_path(Path(job.log)), job.record, is_lasting=False)
        self.found.adopted += [p for p in job.outputs if p in self.hashes]

    def _distrust(self, outputs: Iterable[str], why: str) -> None:
        for output in outputs:
            distrust(output, why)
            if output in self.hashes:
                self.found.distrusted[output] = why

    def _settle_times(self, trusted: list[MadeBy]) -> None:
        """Let no verified input be newer than what was made of it."""
        times = {path: Path(path).stat().st_mtime for path in self.hashes if Path(path).exists()}

        def is_disturbed(job: MadeBy) -> bool:
            made = [times[p] for p in job.outputs if p in times]
            return any(times.get(p, 0) > min(made) for p in job.inputs) if made else False

        if any(is_disturbed(job) for job in trusted):
            for path in {p for job in trusted for p in (*job.outputs, *job.inputs)} & set(times):
                _set_time(Path(path))


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _results(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        if Path(place) == folder:
            folders[:] = [name for name in folders if name not in BY_THE_WAY]
        yield from (Path(place, n).as_posix() for n in names if not n.startswith("."))


def _set_time(path: Path) -> None:
    """Give a file the adopted time; one that is somebody else's keeps its own."""
    root = Path().resolve()
    with contextlib.suppress(OSError):
        if path.is_symlink():
            os.utime(path, (ADOPTED_S, ADOPTED_S), follow_symlinks=False)
            if not path.resolve().is_relative_to(root):
                return
        os.utime(path, (ADOPTED_S, ADOPTED_S))
