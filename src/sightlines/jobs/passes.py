"""Jobs that share a forward pass: who computes for whom, and where it waits to be taken.

Dumps of one network and of the same images are jobs of their own, and still the network runs once:
when Snakemake has decided what must run, the jobs that could share a pass are written down
(`plan`). The first of them computes what all of them record, keeps its own and leaves the others'
files in a stage, `.cache/sightlines/passes/<experiment>/`; each of the others only takes its file
from there. What is staged has a key: the kind, its slice of the config, its code, what it reads,
and the machine and packages that made it. What is missing, damaged or of another key is computed by
the job itself. Jobs that share a pass take turns by a lock that the kernel frees.
"""

import contextlib
import fcntl
import hashlib
import json
import math
import os
import resource
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sightlines.core.errors import SightlinesError
from sightlines.core.files import atomic, make_folder, sha256, write_json
from sightlines.core.hardware import count_gpus, describe_hardware
from sightlines.jobs.command import Job, versions

FOLDER = Path(".cache/sightlines/passes")
PASSES = "SIGHTLINES_PASSES"
"""Where this Snakemake planned its passes: set for its jobs alone."""
PLAN = "plan.json"


@dataclass(frozen=True)
class Part:
    """One job's part of a pass.

    Attributes:
        kind: The recorder.
        config: Its slice of the config, as JSON.
        code: Digest of its code.
        inputs: What it reads, by name.
    """

    kind: str
    config: str
    code: str
    inputs: dict[str, list[str]]

    @classmethod
    def of(cls, job: Job) -> "Part":
        """The part of a job that is running."""
        inputs = {name: [path.as_posix() for path in paths] for name, paths in job.inputs.items()}
        return cls(job.member, job.asked, job.code, inputs)


def plan(experiment: str, passes: Sequence[Sequence[Part]]) -> Path:
    """Write down which jobs share a pass, and remove what is staged for none of them.

    Returns:
        The folder, for PASSES.
    """
    folder = FOLDER / experiment
    wanted = {_identity(asdict(part)) for parts in passes for part in parts}
    for note in sorted(folder.glob("*.json")):
        if note.name != PLAN and _identity(_read(note)) not in wanted:
            note.unlink(missing_ok=True)
    for path in sorted(folder.glob("*")):
        is_staged = path.suffix == ".safetensors" and path.with_suffix(".json").exists()
        if path.is_file() and not is_staged and path.suffix != ".json":
            path.unlink(missing_ok=True)
    make_folder(folder)
    parts = [[asdict(part) for part in parts] for parts in passes]
    write_json(folder / PLAN, {"run": secrets.token_hex(8), "passes": parts}, is_lasting=False)
    return folder


def clear(experiment: str) -> None:
    """Remove all that is staged: nothing is to be made."""
    shutil.rmtree(FOLDER / experiment, ignore_errors=True)


@contextlib.contextmanager
def turn(job: Job) -> Iterator["Turn"]:
    """Wait until no other job of the same pass is at work; see `Turn`."""
    found = _planned_turn(job)
    if found is None or not _waited_for(found.lock):
        yield Turn(job, Part.of(job))
        return
    try:
        yield found
    finally:
        os.close(found.lock)


def _waited_for(lock: int) -> bool:
    """Whether an open lock is held now; it is closed where the file system has no locks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        os.close(lock)
        return False
    return True


def _planned_turn(job: Job) -> "Turn | None":
    """The turn of a job whose pass is planned, its lock open; None for any other."""
    own = Part.of(job)
    folder = Path(os.environ.get(PASSES) or os.devnull)
    planned = _read(folder / PLAN)
    try:
        passes = [[Part(**part) for part in parts] for parts in planned["passes"]]
        run, parts = str(planned["run"]), next(parts for parts in passes if own in parts)
        path = folder / f"{_digest([asdict(p) for p in parts])}.lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except (KeyError, TypeError, StopIteration, OSError):
        return None
    return Turn(job, own, folder, parts, lock, run)


@dataclass
class Turn:
    """What a job does while no other job of its pass is at work.

    Attributes:
        job: The job.
        own: Its own part.
        folder: Where files are staged; None for a job that shares no pass.
        parts: Of the pass.
        lock: Descriptor of the pass's lock, whose file names the parts that this run has computed.
        run: Of Snakemake, as the plan names it.
    """

    job: Job
    own: Part
    folder: Path | None = None
    parts: list[Part] = field(default_factory=list)
    lock: int = -1
    run: str = ""
    _hashes: dict[str, str] = field(default_factory=dict)

    def take(self) -> bool:
        """Put what another job computed for this one in its place; whether there was such a file.

        What is staged and damaged is removed.
        """
        if self.folder is None:
            return False
        try:
            path = self._staged(self.own)
        except OSError:  # what cannot be read is said where it is used
            return False
        note = _read(path.with_suffix(".json"))
        try:
            is_whole = note["sha256"] == sha256(path)
            self.job.peak_memory_bytes = int(note["peak_memory_bytes"])
            self.job.moved_cpu_s = float(note["cpu_s"])
            self.job.shared_pass = [str(kind) for kind in note["shared_pass"]]
            notes = dict(note["notes"])
            is_whole = is_whole and math.isfinite(self.job.moved_cpu_s)
        except (KeyError, TypeError, ValueError, OverflowError, OSError):
            is_whole = False
        if not is_whole:
            self.job.peak_memory_bytes, self.job.moved_cpu_s, self.job.shared_pass = 0, 0.0, []
            self._drop(path)
            return False
        self.job.notes |= notes
        _move(path, self.job.output("dump"))
        self._drop(path)
        self._note_done([self.own])
        return True

    def others(self) -> list[Part]:
        """Parts of the pass that nobody has computed: what this job computes besides its own."""
        if self.folder is None:
            return []
        done = self._done()
        left = [p for p in self.parts if p != self.own and _identity(asdict(p)) not in done]
        found = []
        for part in left:
            with contextlib.suppress(OSError):  # an input that is not there, or about to be remade
                if not self._staged(part).with_suffix(".json").exists():
                    found.append(part)
        return found

    def place(self, part: Part) -> Path:
        """Where the file of a part is written: the job's output, or the stage."""
        return self.job.output("dump") if part == self.own else self._staged(part)

    def stage(self, parts: Sequence[Part], shared_pass: Sequence[str], cpu_s: float) -> None:
        """Let other jobs take what was written in their places, and their share of the cost.

        Args:
            parts: Those whose files are whole; of this job's own nothing is staged.
            shared_pass: All kinds of the pass.
            cpu_s: Processor time of the pass.
        """
        if parts:
            share = cpu_s / len(shared_pass)
            if self.own.kind in shared_pass:
                self.job.shared_pass = sorted(shared_pass)
            for part in parts:
                if self._describe(part, shared_pass, share):
                    self.job.moved_cpu_s -= share
        if self.folder is not None:
            self._note_done([self.own, *parts])

    def _describe(self, part: Part, shared_pass: Sequence[str], share: float) -> bool:
        """Write beside a staged file what it is; whether there is one to be taken.

        This job has its own dump by then: what keeps it from leaving another one costs that one's
        job a pass of its own (no room, or a Snakemake beside it that cleared the stage).
        """
        path = self._staged(part)
        try:
            note = asdict(part) | {
                "sha256": sha256(path),
                "cpu_s": share,
                "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "shared_pass": sorted(shared_pass),
                "notes": self.job.notes,
            }
            write_json(path.with_suffix(".json"), note)
        except (SightlinesError, OSError) as error:
            self.job.log.debug(f"the {part.kind} dump is left to its own job: {error}")
            self._drop(path)
            return False
        return True

    def _staged(self, part: Part) -> Path:
        """Where the file of a part is staged, by its key."""
        assert self.folder is not None
        read = {name: [self._hash(path) for path in paths] for name, paths in part.inputs.items()}
        made = [versions(), describe_hardware(), count_gpus()]
        key = [part.kind, json.loads(part.config), part.code, read, made]
        return self.folder / f"{_digest(key)}.safetensors"

    def _hash(self, path: str) -> str:
        if path not in self._hashes:
            self._hashes[path] = sha256(Path(path))
        return self._hashes[path]

    def _drop(self, path: Path) -> None:
        for each in (path.with_suffix(".json"), path):
            with contextlib.suppress(OSError):
                each.unlink(missing_ok=True)

    def _done(self) -> set[str]:
        """Identities of the parts that this run has computed or taken."""
        os.lseek(self.lock, 0, os.SEEK_SET)
        with contextlib.suppress(ValueError, KeyError, TypeError):
            state = json.loads(os.read(self.lock, 2**20))
            return set(state["done"]) if state["run"] == self.run else set()
        return set()

    def _note_done(self, parts: Sequence[Part]) -> None:
        done = self._done() | {_identity(asdict(part)) for part in parts}
        text = json.dumps({"run": self.run, "done": sorted(done)}).encode()
        with contextlib.suppress(OSError):  # no room: then a part may be computed for its job anew
            os.ftruncate(self.lock, 0)
            os.pwrite(self.lock, text, 0)


def _identity(part: dict[str, Any]) -> str:
    return _digest([part.get(key) for key in ("kind", "config", "code", "inputs")])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _move(path: Path, target: Path) -> None:
    """Rename a file, or copy it where the other place is on another disk."""
    make_folder(target.parent)
    try:
        os.replace(path, target)
    except OSError:
        with open(path, "rb") as source, atomic(target) as copy:
            shutil.copyfileobj(source, copy)
