"""What git says of this checkout. One place says what is wrong where it says nothing."""

import shlex
import subprocess
from pathlib import Path

from sightlines.core.errors import SightlinesError


def git(*words: str) -> str:
    """What a command of git prints; nothing where it fails, or git is not installed."""
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, errors="replace")
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def must_git(error: type[SightlinesError], *words: str, folder: Path | None = None) -> str:
    """What a command of git prints, without the end of its last line.

    Args:
        error: What is raised.
        words: The command's.
        folder: Where it runs; by default here.

    Raises:
        SightlinesError: git is not installed, or the command failed; says why.
    """
    command = shlex.join(["git", *words])
    place = f" in {folder}" if folder else ""
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, errors="replace"
        )
    except OSError as missing:
        raise error(
            f"`{command}` could not be started{place} ({missing.strerror}): is git installed?"
        ) from missing
    if done.returncode:
        why = done.stderr.strip() or f"it ended with status {done.returncode}"
        raise error(f"`{command}` failed{place}: {why}")
    return done.stdout.rstrip("\n")
