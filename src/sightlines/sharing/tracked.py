"""Files that git keeps and merges: `dvc.yaml`, `dvc.lock`, `data.dvc`, an experiment's provenance.

Each is read whole or refused. What cannot be read is never taken for absent: then results that were
shared would seem not to be, and be made again.
"""

import json
import shlex
from pathlib import Path
from typing import Any

from sightlines.core import yaml_files
from sightlines.core.errors import ConfigError, ShareError
from sightlines.core.git import git
from sightlines.core.yaml_files import CONFLICT

AFTERWARDS = "`make pull`, `snakemake` (it makes again what the merged code changes), `make share`"


def read_text(path: Path) -> str | None:
    """Text of a file; None where there is no such file.

    Raises:
        ShareError: it has merge conflicts, is no file, or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if path.is_symlink():
            raise ShareError(f"{path} is a link to nothing: {take_again(path)}") from None
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ShareError(f"cannot read {path}: {error}. Fix it, or {take_again(path)}") from error
    refuse_conflicts(path, text)
    return text


def read_yaml(path: Path, may_be_empty: bool = False) -> dict[str, Any] | None:
    """What a YAML file of DVC holds; None where there is no such file.

    Args:
        path: Where it lies.
        may_be_empty: Whether a file without keys is whole: `dvc.yaml` is, to DVC.

    Raises:
        ShareError: it cannot be read, has merge conflicts, or is no mapping.
    """
    text = read_text(path)
    if text is None:
        return None
    try:
        found = yaml_files.parse(text, str(path), is_strict=False)
    except ConfigError as error:
        raise damaged(path, " ".join(str(error).split())) from error
    if found is None and may_be_empty:
        return {}
    if not isinstance(found, dict):
        raise damaged(path, "it holds no keys")
    return found


def damaged(path: Path, why: str) -> ShareError:
    """The error of a file that does not hold what it should."""
    return ShareError(f"{path} is damaged ({why}): {take_again(path)}")


def take_again(path: Path) -> str:
    """How to get back the last version of a file."""
    return f"take it from git again: git checkout HEAD -- {shlex.quote(str(path))}"


def refuse_conflicts(path: Path, text: str) -> None:
    """Stop at what git could not merge.

    Raises:
        ShareError: says how to merge the file.
    """
    if not CONFLICT.search(text):
        return
    name = shlex.quote(str(path))
    if not is_in_git(path):
        cure = "git does not have this file: delete what lies between the marker lines, and these"
    elif git("ls-files", "--unmerged", "--", str(path)):
        cure = (
            f"Keep one side's results: git checkout --ours {name} (or --theirs; the same side for "
            f"each file that `git status` calls unmerged), git add {name}, then {AFTERWARDS}. "
            "Where the sides shared different experiments, delete the marker lines instead and "
            "keep both entries"
        )
    elif (last := git("show", f"HEAD:./{path}")) and not CONFLICT.search(last):
        cure = f"T{take_again(path)[1:]}"
    else:
        cure = (
            "They were committed. Take the file from a commit before that: "
            f"git log -- {name}, git checkout <commit> -- {name}, then {AFTERWARDS}"
        )
    raise ShareError(f"{path} has merge conflicts, and nothing was done. {cure} (docs/sharing.md)")


def recorded_outputs(provenance: str) -> dict[str, str] | None:
    """SHA-256 of each output in the text of a committed provenance; None where it is none.

    Not of those that had been removed before they were shared.
    """
    try:
        found = json.loads(provenance)
        removed = {*found.get("removed", ())}
        outputs = (entry for job in found["jobs"].values() for entry in job["outputs"].items())
        return {path: entry[0] for path, entry in outputs if path not in removed}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return None


def is_in_git(path: Path) -> bool:
    """Whether git tracks a file, or has it staged."""
    return bool(git("ls-files", "--", str(path)))
