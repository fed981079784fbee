"""What has arrived of a download: kept under its own name, written by one process at a time."""

import contextlib
import fcntl
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightlines.core.errors import DiskError
from sightlines.core.files import why_not_written


@contextlib.contextmanager
def arriving(part: Path, cure: str, log: Any) -> Iterator[io.FileIO]:
    """Open what has arrived of a file, to go on behind it; other processes wait.

    One that waited finds what the other left: a whole file under its final name, or a part. A part
    of no bytes is removed in the end.

    Args:
        part: Where it is kept; its folder is made.
        cure: What to do where that cannot be written.
        log: Hears that another process is waited for.

    Raises:
        DiskError: it cannot be written.
    """

    def create(path: str, flags: int) -> int:
        return os.open(path, flags | os.O_CREAT, 0o666)

    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        while True:
            handle = open(part, "r+b", buffering=0, opener=create)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info(f"another process is downloading {part.name}: waiting for it")
                fcntl.flock(handle, fcntl.LOCK_EX)
            # Whoever had the lock may have removed or renamed the file since it was opened here.
            if part.exists() and os.fstat(handle.fileno()).st_ino == part.stat().st_ino:
                break
            handle.close()
    except OSError as error:
        raise cannot_write(part, error, cure) from error
    with handle:
        try:
            yield handle
        finally:
            if part.exists() and part.stat().st_size == 0:
                part.unlink()


def append(part: io.FileIO, block: bytes, cure: str) -> None:
    """Write a block that arrived behind what is there.

    Raises:
        DiskError: the disk is full.
    """
    rest = memoryview(block)
    try:
        while rest:
            rest = rest[part.write(rest) :]
    except OSError as error:
        raise cannot_write(Path(str(part.name)), error, cure) from error


def cannot_write(path: Path, error: OSError, cure: str) -> DiskError:
    """The error of a file that cannot be written, with what to do about it."""
    return DiskError(f"cannot write {path}: {why_not_written(path, error)}. {cure}")
