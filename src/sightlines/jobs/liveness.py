"""Runs that were killed: free their lock, stop their orphans.

Snakemake's lock on a folder outlives a SIGKILL, and so do its jobs. Every Snakemake of ours
therefore holds a shared lock of its own, which the kernel frees; who gets it exclusively knows
that no other is alive. And every job watches the Snakemake that started it.
"""

import contextlib
import fcntl
import getpass
import json
import os
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from sightlines.core.checkout import require_own_code
from sightlines.core.errors import DiskError, ResultError, SightlinesError
from sightlines.core.files import write_json
from sightlines.jobs.start import PARENT

ALIVE = Path(".cache/sightlines/snakemake.alive")
CALLS = Path(".cache/sightlines/calls")
"""One small file for each Snakemake at work in this folder: who started it, when, and how."""
LOCKS = Path(".snakemake/locks")

_held: list[int] = []


def enter() -> str:
    """Say that this Snakemake is alive, and remove the lock of one that was killed.

    Returns:
        What was removed; empty where nothing was.
    """
    try:
        ALIVE.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(ALIVE, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return ""  # a folder that cannot be written is said where it matters
    _held.append(handle)  # for the life of the process
    freed = ""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for lock in [] if _stranger_works_here() else sorted(LOCKS.glob("*.lock")):
            lock.unlink(missing_ok=True)
            freed = str(LOCKS)
    fcntl.flock(handle, fcntl.LOCK_SH)
    with contextlib.suppress(OSError, SightlinesError):
        _sign_in()
    return freed


@contextlib.contextmanager
def alone(why: str) -> Iterator[None]:
    """Keep every Snakemake of this folder from starting while the block runs.

    Args:
        why: What speaks against it while one is at work.

    Raises:
        ResultError: one is at work.
    """
    try:
        ALIVE.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(ALIVE, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise DiskError(
            f"cannot write {ALIVE}: {error.strerror}. Fix the folder's permissions and give the "
            "same command again"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_free = not _stranger_works_here()
        except BlockingIOError:
            is_free = False
        if not is_free:
            raise ResultError(
                "\n".join(
                    [
                        f"A snakemake is at work in this folder. {why}:",
                        *_others(),
                        "Wait until it ends, or stop it, and give the same command again.",
                    ]
                )
            )
        yield
    finally:
        os.close(handle)


def require_planned_code(digest: str) -> None:
    """Check that a job runs this checkout's code, as Snakemake planned it and as is recorded.

    Args:
        digest: Of the code, as planned.

    Raises:
        CheckoutError: the code is another checkout's.
        ResultError: what the job runs was edited, or pulled, since Snakemake started.
    """
    from sightlines.plan.code_digest import changed_since

    require_own_code()
    changed = changed_since(digest)
    if changed:
        some = [*changed[:3], *([f"{len(changed) - 3} more"] if len(changed) > 3 else [])]
        raise ResultError(
            f"{', '.join(some)} changed while Snakemake was running: start the same command "
            "again, and what the change touches is made anew"
        )


def _stranger_works_here() -> bool:
    """Whether a Snakemake that is not one of ours, of another Snakefile, is at work here."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_text(errors="replace").split("\0")
            # The program itself, or `python -m` of it: not an editor or a look at its log.
            is_snakemake = "snakemake" in {Path(word).name for word in words[:3]}
            here = (process / "cwd").readlink() == Path.cwd()
            if is_snakemake and here and process.name not in _own_family():
                return True
    return False


def _own_family() -> set[str]:
    """This process and those that it comes from (a shell, make, a test)."""
    family, process = {str(os.getpid())}, str(os.getpid())
    while process not in ("0", "1", ""):
        try:
            fields = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()
        except OSError:
            break
        process = fields[1]
        family.add(process)
    return family


def _sign_in() -> None:
    """Leave a note of this call, and remove those of calls that have ended."""
    for note, call in _notes():
        if call.get("host") == socket.gethostname() and not _is_alive(call):
            note.unlink(missing_ok=True)
    process = str(os.getpid())
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    call = {
        "process": process,
        "started": start_time(process) or "",
        "since": time.strftime("%Y-%m-%d %H:%M"),
        "user": user,
        "host": socket.gethostname(),
        "command": shlex.join(["snakemake", *sys.argv[1:]]),
    }
    write_json(CALLS / f"{socket.gethostname()}-{process}.json", call)


def _notes() -> list[tuple[Path, dict[str, str]]]:
    notes = []
    for path in sorted(CALLS.glob("*.json")):
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(path.read_text())
            notes.append((path, found if isinstance(found, dict) else {}))
    return notes


def _is_alive(call: dict[str, str]) -> bool:
    return start_time(str(call.get("process", ""))) == call.get("started", "")


def _others() -> list[str]:
    """A line for each other Snakemake at work in this folder, or that none is known."""
    here = socket.gethostname()
    found = [
        f"  process {call.get('process')} of {call.get('user')} on {call.get('host')} since "
        f"{call.get('since')}: {call.get('command')}"
        for _, call in _notes()
        if call.get("process") != str(os.getpid()) and (call.get("host") != here or _is_alive(call))
    ]
    return found or ["  (it left no note of who started it)"]


def who_else() -> str:
    """What to say when another Snakemake works on the same files in this folder."""
    return "\n".join(
        [
            "Another snakemake is at work on the same results in this folder:",
            *_others(),
            "Wait until it ends, or stop it, and give the same command again; nothing is lost. "
            "Another experiment can run beside it.",
        ]
    )


def me() -> str:
    """This process, as PARENT names it: its machine and its number."""
    return f"{socket.gethostname()}:{os.getpid()}"


def follow_parent(poll_s: float = 1.0, grace_s: float = 20.0) -> None:
    """End this process when the Snakemake that started it is gone.

    Training keeps its last checkpoint, and the next run takes it up. On another machine (a
    cluster's node), where that process is not to be seen, nothing is watched.
    """
    # SIGTERM unwinds: half-written files are removed, locks are freed.
    signal.signal(signal.SIGTERM, _leave)
    host, _, parent = os.environ.get(PARENT, "").rpartition(":")
    started = start_time(parent) if host == socket.gethostname() else None
    if started is None:
        return

    def watch() -> None:
        while start_time(parent) == started:
            time.sleep(poll_s)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os._exit(143)

    threading.Thread(target=watch, daemon=True).start()


def _leave(*_: object) -> None:
    raise SystemExit("stopped: the run that this job belongs to has ended")


def start_time(process: str) -> str | None:
    """When a process started, in ticks; None where it is not alive or not to be seen."""
    try:
        fields = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if not process or fields[0] == "Z" else fields[19]
