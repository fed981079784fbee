"""Whether the code and the environment in use belong to this checkout.

A worktree, a copy and a clone each have their own code, and an environment runs the code of one.
`make` and the Snakefile run this file of their own checkout by its path, before they trust an
installed package; so it needs nothing but the standard library.

    .venv/bin/python -I src/sightlines/core/checkout.py         # prints the state of .venv
    .venv/bin/python -I src/sightlines/core/checkout.py sign    # notes what .venv was made from
"""

import hashlib
import importlib.util
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

CHECKOUT = "SIGHTLINES_CHECKOUT"
"""Environment variable by which Snakemake tells its jobs whose code they run."""
MADE_FROM = ("requirements.lock", "pyproject.toml", "Makefile")
SIGNATURE = "ready"
PROGRAMS = ("snakemake", "dvc", "pip")
OLDEST_PYTHON = (3, 11)


def unsupported(system: str = "") -> str:
    """Why sightlines does not run on a system, and what to do; empty on Linux.

    Locks (flock), the warm process (fork, prctl) and the rule that equal processors give equal
    bytes are of Linux, and are tested nowhere else.

    Args:
        system: As `sys.platform` names it; by default this one.
    """
    system = system or sys.platform
    if system == "linux":
        return ""
    cures = {
        "win32": "On Windows, install WSL 2 (wsl --install) and work in its Linux",
        "darwin": "On macOS, use a Linux machine, or a Linux container or virtual machine",
    }
    cure = cures.get(system, "Use a Linux machine, container or virtual machine")
    return f"sightlines runs on Linux only, and this is {system}. {cure}."


def foreign_code(root: Path) -> str:
    """Why a Python that is starting would not run the code of a checkout; empty where it would.

    Args:
        root: The checkout's folder.
    """
    found = importlib.util.find_spec("sightlines")
    if found is None or found.origin is None:
        return f"No module named 'sightlines' in the environment of {sys.executable}. {_cure(root)}"
    return other_code(root, Path(found.origin).parent)


def other_code(root: Path, package: Path) -> str:
    """Why a package folder is not the one of a checkout; empty where it is."""
    if _is_same(root / "src" / "sightlines", package):
        return ""
    told = f" (PYTHONPATH is {path})" if (path := os.environ.get("PYTHONPATH")) else ""
    return (
        f"the code that would run is not that of this checkout: {package} instead of "
        f"{root / 'src' / 'sightlines'}{told}. {_cure(root)}"
    )


def _cure(root: Path) -> str:
    folder = shlex.quote(str(root))
    return (
        f"Make an environment for this checkout (cd {folder} && make setup) and activate it "
        "(source .venv/bin/activate), or name the code for the environment that you are in: "
        f"export PYTHONPATH={shlex.quote(str(root / 'src'))}"
    )


def require_linux() -> None:
    """Refuse to work on another system, before anything fails for want of what Linux has.

    Raises:
        UnsupportedSystemError: this is not Linux.
    """
    if reason := unsupported():
        from sightlines.core.errors import UnsupportedSystemError

        raise UnsupportedSystemError(reason)


def require_own_code() -> None:
    """Check that this process runs the code of the checkout that it is meant for.

    That is the one that Snakemake named for its jobs; by hand, the working folder where that is a
    checkout.

    Raises:
        CheckoutError: it runs the code of another.
    """
    named = os.environ.get(CHECKOUT)
    here = Path.cwd()
    is_checkout = (here / "Snakefile").is_file() and (here / "src/sightlines").is_dir()
    if not (named or is_checkout):
        return
    reason = other_code(Path(named) if named else here, Path(__file__).resolve().parents[1])
    if reason:
        from sightlines.core.errors import CheckoutError

        raise CheckoutError(reason)


def exit_status(work: "Callable[[], bool | None]") -> int:
    """Do the work of a command, by this checkout's code; say what is wrong without a traceback.

    Returns:
        0; or 1 where it raised an error of ours, or returned false.
    """
    from sightlines.core.errors import SightlinesError

    try:
        require_linux()
        require_own_code()
        return 1 if work() is False else 0
    except SightlinesError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def state(environment: Path, root: Path) -> tuple[str, str]:
    """What `make` has to do about an environment, asked by that environment's own Python.

    Args:
        environment: Its folder.
        root: The checkout's folder.

    Returns:
        ``ready``; ``outdated``, to be brought up to date; or ``foreign``, to be made anew; and why.
    """
    version = sys.version_info[:2]
    if version < OLDEST_PYTHON:
        return "foreign", f"its Python is {'.'.join(map(str, version))}"
    if not (environment / "lib" / "python{}.{}".format(*version)).is_dir():
        return "foreign", "it was made for another version of Python"
    for program in PROGRAMS:
        python = interpreter(environment / "bin" / program)
        if python and not _is_same(python.parent, environment / "bin"):
            return "foreign", f"its {program} starts {python}"
    if reason := foreign_code(root):
        # Installing this checkout into an environment that is linked to would take it from another.
        is_borrowed = environment.is_symlink() and not reason.startswith("No module")
        return ("foreign" if is_borrowed else "outdated"), reason
    try:
        signature = (environment / SIGNATURE).read_text()
    except OSError:
        signature = ""
    if signature != made_from(root):
        return "outdated", f"it was not made from these {', '.join(MADE_FROM)}"
    return "ready", ""


def interpreter(program: Path) -> "Path | None":
    """The Python that starts an installed program; None where there is none, or it is no script."""
    try:
        with open(program, "rb") as handle:
            first, second = (os.fsdecode(handle.readline(4096)).strip() for _ in range(2))
    except OSError:
        return None
    if not first.startswith("#!"):
        return None
    if first != "#!/bin/sh":
        return Path(first[2:].strip())
    try:  # where the path is long or has blanks: '''exec' "/a b/python" "$0" "$@"
        words = shlex.split(second)
    except ValueError:
        return None
    return Path(words[1]) if words[:1] == ["exec"] and len(words) > 1 else None


def made_from(root: Path) -> str:
    """Digest of the files that say what an environment holds and how it is made."""
    digests = (hashlib.sha256((root / name).read_bytes()).hexdigest() for name in MADE_FROM)
    return "".join(f"{digest}  {name}\n" for digest, name in zip(digests, MADE_FROM, strict=True))


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def main(arguments: "list[str]") -> None:
    """Say or sign the state of `.venv` in this file's checkout."""
    root = Path(__file__).resolve().parents[3]
    environment = root / ".venv"
    if arguments == ["sign"]:
        (environment / SIGNATURE).write_text(made_from(root))
        return
    word, reason = state(environment, root)
    if word == "foreign":
        print(f".venv is not of this folder: {reason}", file=sys.stderr)
    print(word)


if __name__ == "__main__":
    main(sys.argv[1:])
