"""DVC's commands, and what of an experiment it versions."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

from sightlines.core.errors import ShareError
from sightlines.core.files import atomic
from sightlines.sharing.metrics import metrics_path
from sightlines.sharing.provenance import provenance_path
from sightlines.sharing.tracked import damaged, is_in_git, read_text, read_yaml

PIPELINE = Path("dvc.yaml")
PIPELINE_LOCK = Path("dvc.lock")
DATA = Path("data.dvc")
IMAGES = "images"
"""The word for the datasets below `data/`, among the parts of an experiment."""
PARTS = ("data", "models", "dumps", "transfer", "tables", "figures", "report.html")
"""What lies in an experiment's folder, each of them pulled alone where one likes."""
PROJECT_SETTINGS = Path(".dvc/config")
"""DVC's settings that git keeps."""


@dataclass(frozen=True)
class Remote:
    """Where shared results lie.

    Attributes:
        name: DVC's name of it.
        url: Such as ``ssh://host/path``.
        options: All its settings.
        is_local: Whether the project's settings lack it: they are this clone's own, or its user's.
    """

    name: str
    url: str
    options: dict[str, str]
    is_local: bool = False


def dvc(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Call DVC and wait for its end.

    Raises:
        ShareError: it failed, with what it said, unless `check` is false.
    """
    program = Path(sys.executable).with_name("dvc")
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    if check and done.returncode:
        raise ShareError(f"dvc {' '.join(arguments)}: {explain_failure(done)}")
    return done


def explain_failure(done: subprocess.CompletedProcess[str]) -> str:
    """What DVC said, as one text with a cure where the cause is known."""
    return _with_cure((done.stderr.strip() or done.stdout.strip()).replace("\n\n", "\n"))


def _with_cure(said: str) -> str:
    cures = (cure for sign, cure in CURES.items() if sign in said)
    return "\n".join([said, *cures][:2])


LOST = (
    "The remote lacks these files, or gave damaged ones, which were dropped. Whoever has them "
    "whole runs `make share` again (a damaged object is first deleted in the remote)."
)
CURES = {
    "Unable to acquire lock": "Another dvc is at work in this folder: wait until it ends.",
    "No space left": "The disk is full: free some space and give the same command again.",
    "Permission denied": "Check the remote's user and key: dvc remote list, dvc remote modify.",
    "missing cache files": LOST,
    "failed to download": LOST,
    "Checkout failed": LOST,
    "is git-ignored": "A pattern of git leaves this file out: git check-ignore -v <file> names it.",
    "is not installed": "This remote needs another package: see docs/sharing.md.",
}


def default_remote() -> Remote | None:
    """The remote that push and pull go to, if there is one, by all of DVC's settings.

    These are, each above the one before, the system's, the user's (`--global`), the project's, and
    this clone's (`--local`).

    Raises:
        ShareError: DVC's settings cannot be read, or name a default remote that does not exist.
    """
    from dvc.config import Config, ConfigError
    from dvc.fs import get_fs_config

    read_text(PROJECT_SETTINGS)
    try:
        merged = Config(str(PROJECT_SETTINGS.parent))
        in_project = merged.load_one("repo")["remote"]
        name = merged["core"].get("remote", "").lower()
    except (ConfigError, OSError) as error:
        raise ShareError(
            f"DVC's settings cannot be read: {' '.join(str(error).split())}"
        ) from error
    if not name:
        return None
    if "url" not in merged["remote"].get(name, {}):
        raise ShareError(
            f"the default remote {name!r} has no url: dvc remote add -d {shlex.quote(name)} <url>"
        )
    try:  # its url may be a folder of another remote
        options = {k: str(v) for k, v in get_fs_config(merged, name=name).items()}
    except (ConfigError, KeyError) as error:
        raise ShareError(f"remote {name}: {error}") from error
    return Remote(name, options["url"], options, name not in in_project)


@contextmanager
def open_repository() -> Iterator[Any]:
    """DVC's own view of this folder.

    Raises:
        ShareError: in the place of what DVC raises.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            yield repo
    except DvcException as error:
        raise ShareError(_with_cure(f"dvc: {' '.join(str(error).split())}")) from error


def require_repository() -> None:
    """Check that this folder is the root of a git repository with DVC.

    Raises:
        ShareError: it is not.
    """
    if not Path(".git").exists():
        raise ShareError(
            "this folder is no git repository: results are shared as commits. Clone sightlines "
            "with git, or `git init` here"
        )
    if shutil.which("git") is None:
        raise ShareError("git is not installed: results are shared as commits. Install it")
    if not Path(".dvc").is_dir():
        raise ShareError("DVC is not set up in this folder: run `dvc init`")


def shared_parts(experiment: str) -> list[str]:
    """Paths of an experiment that DVC's lock file names; none where it does not name it.

    Raises:
        ShareError: the lock file cannot be read or has merge conflicts.
    """
    lock = read_yaml(PIPELINE_LOCK) or {}
    try:
        stages = lock.get("stages", {})
        if experiment not in stages:
            return []
        return [str(out["path"]) for out in stages[experiment]["outs"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(PIPELINE_LOCK, f"its entry of {experiment} names no outputs") from error


def is_shared(experiment: str) -> bool:
    """Whether results of the experiment were shared, so that they could be pulled.

    Its entry in the lock file may be lost, as by a merge that took one side whole; `dvc.yaml` and
    the provenance then still tell.

    Raises:
        ShareError: a file of DVC cannot be read or has merge conflicts.
    """
    read_yaml(DATA)
    stages = (read_yaml(PIPELINE, may_be_empty=True) or {}).get("stages") or {}
    if not isinstance(stages, dict):
        raise damaged(PIPELINE, "its stages are no mapping")
    in_lock = bool(shared_parts(experiment))
    return in_lock or experiment in stages or is_in_git(provenance_path(experiment))


def parts_in_dvc(experiment: str, parts: list[str]) -> list[str]:
    """Of the parts that the lock file names, those that are not in git."""
    return [p for p in parts if p in {f"results/{experiment}/{part}" for part in PARTS}]


def write_stage(experiment: str, config: Path) -> None:
    """Declare an experiment's results in `dvc.yaml`: one stage, one output a folder.

    Raises:
        ShareError: `dvc.yaml` is damaged.
    """
    from ruamel.yaml import YAML  # it keeps comments; a start of Snakemake does not need it
    from ruamel.yaml.error import YAMLError

    format_ = YAML()
    format_.width = 200
    try:
        pipeline: Any = format_.load(read_text(PIPELINE) or "") or {}
        stages = pipeline.setdefault("stages", {})
        stages[experiment] = _stage(experiment, config)
        plots = pipeline.setdefault("plots", [])
        plots[:] = _with_plots(list(plots), experiment)
    except (YAMLError, AttributeError, TypeError) as error:
        raise damaged(PIPELINE, " ".join(str(error).split())) from error
    buffer = StringIO()
    format_.dump(pipeline, buffer)
    with atomic(PIPELINE) as handle:
        handle.write(buffer.getvalue().encode())


def _stage(experiment: str, config: Path) -> dict[str, Any]:
    folder = Path("results", experiment)
    kept = {"persist": True}  # DVC must not delete what Snakemake would only bring up to date
    in_git = {"cache": False, "persist": True}
    made = [part for part in PARTS if (folder / part).exists()]
    return {
        # DVC runs some experiments in a copy of the project: its code, by this environment.
        "cmd": 'PYTHONPATH="src:$PYTHONPATH" '
        f"snakemake --configfile {shlex.quote(config.as_posix())}",
        "deps": ["Snakefile", "workflow/rules", "src/sightlines"],
        "params": [{config.as_posix(): None}],
        "outs": [
            *({(folder / part).as_posix(): dict(kept)} for part in made),
            {provenance_path(experiment).as_posix(): dict(in_git)},
        ],
        "metrics": [{metrics_path(experiment).as_posix(): dict(in_git)}],
    }


def _plots(experiment: str) -> dict[str, dict[str, str]]:
    """What `dvc plots` draws: names on one axis, numbers on the other.

    DVC's own templates take every axis for numbers, or add up what has one name; those in
    `.dvc/plots` give each network and each claim a line.
    """
    tables = Path("results", experiment, "tables")
    accuracy = {"x": "accuracy_test", "y": "model", "template": "accuracy"}
    claims = {"x": "value", "y": "claim", "template": "claims"}
    return {
        (tables / "accuracy.csv").as_posix(): accuracy,
        (tables / "claims.csv").as_posix(): claims,
    }


def _with_plots(known: list[Any], experiment: str) -> list[Any]:
    """Plots with those of an experiment; what somebody changed of these stays as it is."""
    blank = ({"x": "model", "y": "accuracy_test"}, {"x": "claim", "y": "value"})
    kept = [p for p in known if isinstance(p, str) or not any(v in blank for v in p.values())]
    there = {name for plot in kept for name in ([plot] if isinstance(plot, str) else plot)}
    new = [{path: plot} for path, plot in _plots(experiment).items() if path not in there]
    return [*kept, *new]


def check_listings(targets: Iterable[str]) -> None:
    """Read what DVC would put where, before it does: listings come from somebody else.

    Args:
        targets: Outputs, what lies in them, or files of DVC such as ``data.dvc``, as fetched.

    Raises:
        ShareError: a listing names a file outside its folder; nothing was written.
    """
    with open_repository() as repo:
        for target in targets:
            for out in _outs(repo, target):
                if not (out.hash_info and out.hash_info.isdir):
                    continue
                path = Path(repo.cache.local.oid_to_path(out.hash_info.value))
                if path.is_file():
                    _check_listing(path, str(out))


def _outs(repo: Any, target: str) -> Iterator[Any]:
    if target.endswith(".dvc"):
        for stage in repo.stage.collect(target):
            yield from stage.outs
        return
    for stage in repo.index.stages:
        yield from (o for o in stage.outs if Path(target).is_relative_to(o.def_path))


def _check_listing(path: Path, name: str) -> None:
    try:
        relative = [PurePosixPath(entry["relpath"]) for entry in json.loads(path.read_bytes())]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ShareError(f"the shared listing of {name} is damaged: nothing was pulled") from error
    for entry in relative:
        if entry.is_absolute() or not entry.parts or {"..", ".git"} & set(entry.parts):
            raise ShareError(
                f"the shared listing of {name} names {str(entry)!r}, which is outside of it: "
                "do not use these results. Nothing was put in place"
            )
