"""A call of Snakemake that finds all as an equal call left it, which had nothing to do, has none.

Snakemake reads config and rules, asks every file for its hash and every record for its job, and
plans hundreds of jobs, to say that nothing is to be done. Whatever it can look at in doing so is
noted here by size, times and inode, as `core/file_hashes.py` does: the code, the rules and their
profile, the config, the experiment's results with their records, the images, Snakemake's own
records, what was installed; and the words of the command and the environment themselves. Where the
digest of all that is one of those at which Snakemake had nothing to do and nothing else to say, the
call ends before anything is planned; in any other case nothing is taken from here.

A file that was written in the last seconds could be written again with the same times: with such a
file nothing is noted. Nor with photographs and weights that lie outside of the project, with
results that are not here, with another Snakefile, a profile of one's own, or unusual options.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[3]
MEMORY = Path(".cache/sightlines/unchanged.json")
"""Digests of what was looked at when nothing was to be done, the latest last."""
MOST_KEPT = 32
SETTLED_NS = 2_000_000_000
"""As in core/file_hashes.py, which takes longer to import than all this."""
LOCKS = Path(".snakemake/locks")
OF_SNAKEMAKE = (".snakemake/metadata", ".snakemake/incomplete")
OF_DVC = ("data.dvc", "dvc.yaml", "dvc.lock", ".dvc/config", ".dvc/config.local")
PROFILES = ("default", "profiles/default")
"""Where Snakemake looks for a profile without being told: in the folder where it is called first,
then in the checkout's."""
OF_CODE = ("Snakefile", "src/sightlines", "workflow", *PROFILES)
"""Below the checkout."""
WRITTEN_BY_PYTHON = "__pycache__"
OF_THE_SHELL = frozenset({"_", "OLDPWD", "SHLVL"})
"""Variables that tell calls of one shell apart."""
OPTIONS = frozenset(
    {
        *("--", "--config", "--configfile", "--configfiles", "--cores", "--directory", "--dry-run"),
        *("--dryrun", "--jobs", "--keep-going", "--nocolor", "--printshellcmds", "--quiet"),
        *("--rerun-incomplete", "--resources", "--snakefile", "--verbose"),
    }
)
SHORT_OPTIONS = re.compile(r"-[knpq]*([Ccdjs].*)?")
"""Options that say what is to be done and how. Others may ask for more than that, such as a report,
or name a profile of one's own."""
PROFILE_VARIABLES = ("SNAKEMAKE_PROFILE", "SNAKEMAKE_WORKFLOW_PROFILE")
STYLES = "*.mplstyle"
"""Beside the config, which may name one for its figures."""
PROGRAMS = ("snakemake", "__main__.py")


class Call:
    """One call of Snakemake, and all that its plan can depend on, as it was when the call began."""

    def __init__(
        self,
        snakefile: Path,
        begun_in: Path,
        config: Path,
        experiment: str,
        words: Sequence[str] | None = None,
        checkout: Path = CHECKOUT,
    ) -> None:
        """Look.

        Args:
            snakefile: The first that Snakemake reads.
            begun_in: The folder in which it was called, which may have a profile.
            config: The config file.
            experiment: Its name.
            words: Of the command line, the program included; this process's own by default.
            checkout: Whose Snakefile, code and rules these are.
        """
        self._words = list(sys.argv if words is None else words)
        self._is_own = snakefile == checkout / "Snakefile"
        self._roots = [
            *(checkout / name for name in OF_CODE),
            *(begun_in / name for name in PROFILES),
            config,
            config.with_suffix(".yaml"),
            config.with_suffix(".yml"),
            *sorted(config.parent.glob(STYLES)),
            Path("results", experiment),
            Path("data"),
            *map(Path, (*OF_SNAKEMAKE, *OF_DVC)),
        ]
        self._began_ns = time.time_ns()
        environment = sorted(i for i in os.environ.items() if i[0] not in OF_THE_SHELL)
        said = [str(config), str(begun_in), self._words, str(Path.cwd()), os.geteuid(), environment]
        self._asked = json.dumps([sys.version, sys.prefix, *said])
        self._newest_ns, self.state = self._look() if self._is_usual() else (0, "")

    def _is_usual(self) -> bool:
        """Whether all that the call depends on is looked at here."""
        program, *words = self._words or [""]
        return (
            Path(program).name in PROGRAMS
            and self._is_own
            and all(map(_is_usual_word, words))
            and not any(name in os.environ for name in PROFILE_VARIABLES)
        )

    def _look(self) -> tuple[int, str]:
        """The latest time of all files, and the digest; an empty one where not all can be seen."""
        installed = [Path(path) for path in sys.path if Path(path).name == "site-packages"]
        lines, newest = [self._asked], 0
        lines += [f"{path} {_stamp(path.stat())}" for path in installed if path.exists()]
        try:
            for root in self._roots:
                found = sorted(_files(str(root)))
                newest = max([newest, *(changed for _, changed in found)])
                lines += [str(root), *(line for line, _ in found)]
        except OSError:
            return 0, ""
        return newest, hashlib.sha256("\0".join(lines).encode(errors="surrogateescape")).hexdigest()

    def has_nothing_to_do(self) -> bool:
        """Whether an equal call had nothing to do, and nothing has changed since."""
        return bool(self.state) and not _is_locked() and self.state in _recall()

    def remember(self) -> None:
        """Note that nothing is to be done as things were, if they still are so."""
        is_settled = self._began_ns - self._newest_ns > SETTLED_NS
        if not (self.state and is_settled and self._look()[1] == self.state):
            return
        from sightlines.core.errors import SightlinesError
        from sightlines.core.files import write_json

        known = [state for state in _recall() if state != self.state]
        with contextlib.suppress(SightlinesError):  # a folder that cannot be written
            write_json(MEMORY, [*known, self.state][-MOST_KEPT:], is_lasting=False)


def _is_usual_word(word: str) -> bool:
    name = word.partition("=")[0]
    return not word.startswith("-") or name in OPTIONS or bool(SHORT_OPTIONS.fullmatch(word))


def _is_locked() -> bool:
    """Whether a Snakemake is at work here, or was killed: what it says then is not of the plan."""
    return any(LOCKS.glob("*.lock"))


def _recall() -> list[Any]:
    try:
        found = json.loads(MEMORY.read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def _files(root: str) -> Iterator[tuple[str, int]]:
    """A line for each file, folder and link below a place, itself included, with its latest time.

    Folders have their names alone: their times change with files that are none of our business.

    Raises:
        OSError: not all can be seen; or below it a link leads to a folder.
    """
    if not os.path.lexists(root):
        return
    yield from _seen(root, os.lstat(root))
    waiting = [root] if os.path.isdir(root) else []  # noqa: PTH112 - a Path for each costs more
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != WRITTEN_BY_PYTHON:
                        waiting.append(entry.path)
                        yield entry.path, 0
                elif entry.is_dir():
                    raise OSError(f"{entry.path} leads to a folder")
                else:
                    yield from _seen(entry.path, entry.stat(follow_symlinks=False))


def _seen(path: str, status: os.stat_result) -> Iterator[tuple[str, int]]:
    """The lines of what is no folder, and of what it leads to."""
    if stat.S_ISDIR(status.st_mode):
        yield path, 0
        return
    yield f"{path}\0{_stamp(status)}", max(status.st_mtime_ns, status.st_ctime_ns)
    if stat.S_ISLNK(status.st_mode) and os.path.exists(path):  # noqa: PTH110 - as above
        yield from _seen(f"{path}/", os.stat(path))  # noqa: PTH116 - as above


def _stamp(status: os.stat_result) -> str:
    numbers = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return f"{' '.join(map(str, numbers))} {status.st_ino}"
