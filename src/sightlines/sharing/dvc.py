"""DVC's commands, and what of an experiment it versions."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

from sightlines import yaml_files
from sightlines.errors import ConfigError, ShareError
from sightlines.files import atomic
from sightlines.sharing.metrics import metrics_path
from sightlines.sharing.provenance import provenance_path

PIPELINE = Path("dvc.yaml")
PIPELINE_LOCK = Path("dvc.lock")
DATA = Path("data.dvc")
IMAGES = "images"
"""The word for the datasets below `data/`, among the parts of an experiment."""
PARTS = ("data", "models", "dumps", "transfer", "tables", "figures", "report.html")
"""What lies in an experiment's folder, each of them pulled alone where one likes."""
SETTINGS = (Path(".dvc/config"), Path(".dvc/config.local"))


@dataclass(frozen=True)
class Remote:
    """Where shared results lie.

    Attributes:
        name: DVC's name of it.
        url: Such as ``ssh://host/path``.
        options: All its settings.
        is_local: Whether only this clone's own settings name it.
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
    said = (done.stderr.strip() or done.stdout.strip()).replace("\n\n", "\n")
    for sign, cure in CURES.items():
        if sign in said:
            return f"{said}\n{cure}"
    return said


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
    "is not installed": "This remote needs another package: see docs/sharing.md.",
}


def default_remote() -> Remote | None:
    """The remote that push and pull go to, if there is one.

    Raises:
        ShareError: DVC's settings name a default remote that does not exist.
    """
    parser, project = ConfigParser(interpolation=None), ConfigParser(interpolation=None)
    parser.read([path for path in SETTINGS if path.is_file()])
    project.read([path for path in SETTINGS[:1] if path.is_file()])
    name = parser.get("core", "remote", fallback="")
    if not name:
        return None
    remotes = {s.strip("'").removeprefix('remote "').rstrip('"'): s for s in parser.sections()}
    if name not in remotes:
        raise ShareError(f"the default remote {name!r} has no url: dvc remote add -d {name} <url>")
    options = dict(parser[remotes[name]])
    url = options.get("url", "")
    if url.startswith("remote://"):  # a folder of another remote
        other, _, path = url.removeprefix("remote://").partition("/")
        base = dict(parser[remotes[other]]) if other in remotes else {}
        url = f"{base.get('url', '')}/{path}"
        options = base | {k: v for k, v in options.items() if k != "url"}
    return Remote(name, url, options, remotes[name] not in project)


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
    if not Path(".dvc").is_dir():
        raise ShareError("DVC is not set up in this folder: run `dvc init`")


def shared_parts(experiment: str) -> list[str]:
    """Paths of an experiment that DVC's lock file names."""
    try:
        stages = yaml_files.read(PIPELINE_LOCK, is_strict=False)["stages"]
        return [str(out["path"]) for out in stages[experiment]["outs"]]
    except (OSError, ConfigError, KeyError, TypeError):
        return []


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
        text = PIPELINE.read_text() if PIPELINE.exists() else ""
        pipeline: Any = format_.load(text) or {}
        stages = pipeline.setdefault("stages", {})
        stages[experiment] = _stage(experiment, config)
        plots = pipeline.setdefault("plots", [])
        for plot in _plots(experiment):
            if not any(set(plot) & set(known) for known in plots):
                plots.append(plot)
    except (YAMLError, AttributeError, TypeError) as error:
        raise ShareError(f"{PIPELINE} is damaged: take it from git again ({error})") from error
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


def _plots(experiment: str) -> list[dict[str, Any]]:
    tables = Path("results", experiment, "tables")
    return [
        {(tables / "accuracy.csv").as_posix(): {"x": "model", "y": "accuracy_test"}},
        {(tables / "claims.csv").as_posix(): {"x": "claim", "y": "value"}},
    ]


def check_listings(targets: Iterable[str]) -> None:
    """Read what DVC would put where, before it does: listings come from somebody else.

    Args:
        targets: Outputs, what lies in them, or files of DVC such as ``data.dvc``, as fetched.

    Raises:
        ShareError: a listing names a file outside its folder; nothing was written.
    """
    from dvc.repo import Repo

    with Repo() as repo:
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
