"""What a training job needs to go on after a kill, in a folder that one process owns at a time.

Tensors lie in a safetensors file, everything else in JSON. A checkpoint is two renames: first the
tensors under a new name, then `state.json`, which names them with their hash. Whenever the
process dies, `state.json` is whole and its tensors exist. No random state is kept: every draw
follows from the seeds and the step.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightlines.core import files
from sightlines.core.errors import DiskError, ResultError, TrainingError

ROOT = Path(".cache/sightlines/training")


TRAINING, PLACE = 12, 8
"""Digits of a fingerprint for what is trained, and for where and in which number format."""


def fingerprint(*parts: Any, place: Any = None) -> str:
    """Name of the state folder of exactly this training: a digest of what determines it.

    Args:
        parts: Config, code, inputs and versions.
        place: Device and number format. Fingerprints that differ in these alone begin alike.
    """
    return _digest(parts, TRAINING) + _digest(place, PLACE)


def _digest(value: Any, digits: int) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:digits]


class StateFolder:
    """The checkpoints of one training, newest only."""

    def __init__(self, path: Path, log: logging.Logger) -> None:
        """Keep checkpoints in `path`; use within `owned`."""
        self.path = path
        self._log = log

    def save(self, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
        """Replace the checkpoint; `facts` must hold `step`.

        Raises:
            DiskError: the folder cannot be written; the checkpoint before is kept.
        """
        arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
        path = self.path / f"step{facts['step']:09d}.safetensors"
        files.write_tensors(path, arrays, {"step": facts["step"]})
        pointer = {"facts": facts, "tensors": path.name, "sha256": files.sha256(path)}
        files.write_json(self.path / "state.json", pointer)
        for old in self.path.glob("step*.safetensors"):
            if old != path:
                old.unlink()

    def load(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The last checkpoint, or None where there is none or the disk damaged it."""
        pointer_path = self.path / "state.json"
        if not pointer_path.exists():
            return None
        try:
            pointer = files.read_json(pointer_path)
            path = self.path / pointer["tensors"]
            reader = files.TensorReader(path)
            if files.sha256(path) != pointer["sha256"]:
                raise ResultError(f"{path} has other bytes than were written")
            return {name: np.array(reader[name]) for name in reader.names()}, pointer["facts"]
        except (ResultError, KeyError, TypeError) as error:
            self._log.warning(f"starting anew, the state in {self.path} is damaged: {error}")
            return None

    def begun_elsewhere(self) -> list[tuple[Path, dict[str, Any]]]:
        """States of the same training on another device or in another number format.

        Returns:
            Each one's folder and facts.
        """
        found = []
        for pointer in sorted(self.path.parent.glob(f"{self.path.name[:TRAINING]}*/state.json")):
            if pointer.parent != self.path:
                with contextlib.suppress(ResultError, KeyError, TypeError):
                    found.append((pointer.parent, dict(files.read_json(pointer)["facts"])))
        return found

    @contextlib.contextmanager
    def owned(self, patience_s: float = 5.0) -> Iterator[None]:
        """Own the folder while the block runs; the kernel ends it however the process ends.

        Raises:
            TrainingError: another process still owns it after `patience_s` seconds.
            DiskError: the folder cannot be made.
        """
        handle = self._acquire(patience_s)
        try:
            yield
        finally:
            os.close(handle)

    def remove(self) -> None:
        """Delete the folder: its training has ended well."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _acquire(self, patience_s: float) -> int:
        lock = self.path / "lock"
        until = time.monotonic() + patience_s
        is_told = False
        while True:
            handle = _open(lock)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = lock.read_text().strip() if lock.exists() else ""
                os.close(handle)
            else:
                if _is_same_file(handle, lock):
                    os.ftruncate(handle, 0)
                    os.write(handle, f"{os.getpid()}\n".encode())
                    return handle
                os.close(handle)
                continue
            if time.monotonic() > until:
                raise TrainingError(
                    f"process {owner or '(unknown)'} is training this very network: it holds "
                    f"{lock}. Wait until it has ended, or end it (kill {owner or '<pid>'}), then "
                    "run the same command again; its work is taken up where it stands."
                )
            if not is_told:
                self._log.info(f"waiting for process {owner}, which holds {lock}")
                is_told = True
            time.sleep(0.1)


def _open(lock: Path) -> int:
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            return os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # its last owner removed the folder between the two calls
        except OSError as error:
            raise DiskError(
                f"cannot write {lock}: {error.strerror}. Fix the permissions of "
                f"{lock.parent}, then run the same command again."
            ) from error


def _is_same_file(handle: int, path: Path) -> bool:
    """Whether the open file is the one that the path names now: an owner may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
