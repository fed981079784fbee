"""Run a stage's command in a process that is warm already, where there is one.

    python -m sightlines.jobs.start sightlines.run.measure cka --config '{…}' …

does what ``python -m sightlines.run.measure cka --config '{…}' …`` does, without paying again for
import of torch, timm, pandas or matplotlib: up to 4 CPU seconds, more than most jobs compute.
One Snakemake has one warm process for each environment that its jobs run in (`warm.py`); it has
imported those libraries, none of our own code, and forks for every job. The job has this call's
arguments, environment, folder and terminal, and ends with its Snakemake. Whatever stands in the way
of that (another system than Linux, a file system without sockets, SIGHTLINES_WARM unset) makes the
job start the plain way: slower, the same otherwise.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import runpy
import signal
import socket
import struct
import sys
from pathlib import Path
from types import FrameType

# No other module of ours: each job starts a Python for this file, which hands over to the warm one.

PARENT = "SIGHTLINES_PARENT"
"""Names the Snakemake that a job belongs to: its machine and its process."""
WARM = "SIGHTLINES_WARM"
"""Set to 1 by a Snakemake whose jobs run on its own machine."""

FOLDER = Path(".cache/sightlines")
LENGTH = struct.Struct("!I")
STATUS = struct.Struct("!i")
STARTED = b"+"
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_VOLATILE = ("_", "SHLVL", "PWD", "OLDPWD")


def main(arguments: list[str]) -> int:
    """Run one module with its arguments; the exit status."""
    server = _connect() if os.environ.get(WARM) == "1" and sys.platform == "linux" else None
    status = None if server is None else _ask(server, arguments)
    if status is None:
        run_module(arguments)
        return 0
    return status if status >= 0 else 128 - status


def run_module(arguments: list[str]) -> None:
    """Run a module as ``python -m`` does; it ends by itself or by an exception."""
    sys.argv = list(arguments)
    sys.orig_argv = [sys.executable, "-m", *arguments]
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def _connect() -> socket.socket | None:
    """The warm process of this environment, started if need be; None where that is impossible."""
    parent = os.environ.get(PARENT, "").rpartition(":")[2]
    same = {k: v for k, v in os.environ.items() if k not in _VOLATILE}
    key = hashlib.sha256(json.dumps([sys.executable, sorted(same.items())]).encode()).hexdigest()
    folder = FOLDER / f"warm-{parent}"
    path = folder / key[:16]  # relative, since the kernel allows some hundred characters
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return _dial(path)
            path.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
                listener.listen(128)
                _start(listener, folder, parent)
            return _dial(path)
    except OSError:
        return None


def _dial(path: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(str(path))
    except OSError:
        server.close()
        raise
    return server


def _start(listener: socket.socket, folder: Path, parent: str) -> None:
    import subprocess  # by the first job alone

    command = [
        sys.executable,
        "-m",
        "sightlines.jobs.warm",
        str(listener.fileno()),
        str(folder),
        parent,
    ]
    nothing = subprocess.DEVNULL
    subprocess.Popen(
        command,
        pass_fds=[listener.fileno()],
        start_new_session=True,
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
    )


def _ask(server: socket.socket, arguments: list[str]) -> int | None:
    """Have the job run; its exit status, negative for a signal, or None where it never began."""

    def pass_on(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            server.send(bytes([number]))

    before = {n: signal.signal(n, pass_on) for n in PASSED_ON}
    mask = os.umask(0o077)
    os.umask(mask)
    job = {"arguments": arguments, "folder": str(Path.cwd()), "mask": mask, "env": dict(os.environ)}
    text = json.dumps(job).encode()
    try:
        socket.send_fds(server, [LENGTH.pack(len(text))], [0, 1, 2])
        server.sendall(text)
        began = server.recv(1) == STARTED
    except OSError:
        began = False
    if not began:
        for number, handler in before.items():
            signal.signal(number, handler)
        return None
    try:
        said = server.recv(STATUS.size)
    except OSError:
        said = b""
    if len(said) < STATUS.size:
        sys.exit("the warm process that ran this job was killed; run the same command again")
    status: int = STATUS.unpack(said)[0]
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
