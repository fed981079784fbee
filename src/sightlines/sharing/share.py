"""Put an experiment's results where colleagues can pull them.

    make share                                        # the default experiment
    make share CONFIG=workflow/config/cifar10.yaml    # another
    make share STALE=1                                # as they are, even if something is stale

Checks that everything is up to date and as recorded, writes the provenance, hands data and results
to DVC, stages pointers and provenance in git, pushes to the default remote, and prints what a
colleague types. The commit is yours.
"""

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from sightlines.core.checkout import exit_status
from sightlines.core.errors import ShareError
from sightlines.core.files import atomic
from sightlines.core.git import git, must_git
from sightlines.plan.code_digest import code_parts
from sightlines.plan.experiment import Experiment
from sightlines.plan.experiment_names import name_of
from sightlines.sharing.asked import dry_run, outdated
from sightlines.sharing.dvc import (
    DATA,
    PARTS,
    PIPELINE,
    PIPELINE_LOCK,
    PROJECT_SETTINGS,
    Remote,
    default_remote,
    dvc,
    is_shared,
    parts_in_dvc,
    require_repository,
    shared_parts,
    write_stage,
)
from sightlines.sharing.explain import NOTHING, in_quotes, make_argument, of_experiment, say, table
from sightlines.sharing.losses import left_out
from sightlines.sharing.metrics import metrics_path, write_metrics
from sightlines.sharing.provenance import (
    job_code,
    local_jobs,
    provenance_path,
    read_codes,
    read_provenance,
    write_provenance,
)
from sightlines.sharing.registration import lock_path
from sightlines.sharing.remotes import look_for_losses, prepare
from sightlines.sharing.tracked import read_text, recorded_outputs
from sightlines.sharing.verify import verify

GIT_IGNORE = Path(".gitignore")


def share(config: Path, stale: bool) -> None:
    """Share the experiment of one config file.

    Raises:
        ConfigError: the config's name cannot be an experiment's.
        ShareError: something is stale, not whole or not as recorded, or the remote cannot be used.
    """
    experiment = name_of(config)
    require_repository()
    if config.is_absolute():
        try:
            config = config.resolve().relative_to(Path().resolve())
        except ValueError:
            raise ShareError(
                f"{config} is outside this folder: colleagues would not get it"
            ) from None
    if not config.is_file():
        raise ShareError(f"there is no config file {config}")
    _require_merged(experiment, config)
    remote = default_remote()
    is_changed = prepare(remote) if remote else False
    _require_current(experiment, config, stale)
    is_current = Experiment.open(config).has
    _require_whole(experiment, is_current)
    write_provenance(experiment, is_current)
    write_metrics(experiment)
    _require_covered(experiment, is_current)
    _require_kept(experiment, config, is_current)
    say("Handing data and results to DVC …")
    _track_data(experiment)
    write_stage(experiment, config)
    stage = f"{PIPELINE}:{experiment}"  # a name alone might be taken for an option, or a file
    dvc("commit", "--force", stage)
    _stage_in_git(experiment, config, is_changed)
    if remote is None:
        print(_without_remote(experiment, config))
        return
    say(f"Pushing to {remote.name} ({remote.url}) …")
    look_for_losses(remote, [stage, str(DATA)])
    pushed = dvc("push", stage, str(DATA)).stdout.strip()
    print(_for_colleagues(experiment, config, remote, pushed))


def _require_merged(experiment: str, config: Path) -> None:
    """Stop at files of git and DVC that cannot be read, before any is written."""
    is_shared(experiment)
    read_provenance(experiment)
    for path in (GIT_IGNORE, PROJECT_SETTINGS, config):
        read_text(path)


def _require_current(experiment: str, config: Path, stale: bool) -> None:
    """Hold config and code against the records, and ask Snakemake whether anything would run."""
    said, status, asked = dry_run(config)
    if status:
        raise ShareError(f"snakemake could not plan {config}: {said.strip().splitlines()[-1]}")
    accounts = [*local_jobs(experiment), *read_provenance(experiment).values()]
    codes = read_codes(experiment)
    digests = {job_code(account) for account in accounts}
    known = {digest: codes.get(digest) or code_parts(digest) for digest in digests}
    others = list(outdated(asked, accounts, known))
    if NOTHING in said and not others:
        return
    begin = said.find("What must run")
    reason = said[begin : said.find("\n\n", begin)] if begin >= 0 else table(others)
    if stale:
        say(f"Shared as they are, though something is stale.\n{reason}")
        return
    command = f"snakemake --configfile {shlex.quote(config.as_posix())}"
    raise ShareError(
        "results are not up to date, and nothing was shared.\n"
        f"{reason or 'the experiment has not run to its end'}\n"
        f"Run `{command}` first, or share them as they are: make share STALE=1"
        f"{of_experiment(config.as_posix())}"
    )


def _require_whole(experiment: str, is_current: Callable[[str], bool]) -> None:
    found = verify(experiment)
    shared = recorded_outputs(git("show", f"HEAD:./{provenance_path(experiment).as_posix()}")) or {}
    missing = [path for path in found.missing if is_current(path)]
    missing += [path for path in found.removed if is_current(path) and path in shared]
    if missing:
        raise ShareError(
            f"{len(missing)} results are not here, such as {missing[0]}: pull them "
            "first (make pull), or the shared version would lose them"
        )
    if found.differing:
        raise ShareError(
            f"{len(found.differing)} results are not as recorded: {found.differing[0]}. "
            "Run snakemake again"
        )
    if found.removed:
        say(f"Without {len(found.removed)} dumps, which `make clean-dumps` removed.")


def _require_covered(experiment: str, is_current: Callable[[str], bool]) -> None:
    """A colleague's clone believes only what the provenance names."""
    named = {path for job in read_provenance(experiment).values() for path in job.outputs}
    bare = [path for path in _results(experiment, is_current) if path not in named]
    if bare:
        raise ShareError(
            f"{len(bare)} results have no record of how they were made, such as {bare[0]}: "
            "delete them and run snakemake again"
        )


def _results(experiment: str, is_current: Callable[[str], bool]) -> list[str]:
    """Files here of the experiment's parts."""
    folder = Path("results", experiment)
    files = (p for part in PARTS for p in (folder / part, *(folder / part).rglob("*")))
    return [str(p) for p in files if p.is_file() and is_current(str(p))]


def _require_kept(experiment: str, config: Path, is_current: Callable[[str], bool]) -> None:
    """Stop where DVC would leave out what is to be shared."""
    jobs = read_provenance(experiment).values()
    data = [p for job in jobs for p in job.outputs if p.startswith("data/") and Path(p).is_file()]
    about = [PIPELINE, PIPELINE_LOCK, DATA, *_told(experiment)]
    paths = [*_results(experiment, is_current), *data, *map(str, about), config.as_posix()]
    if patterns := left_out(paths):
        path, pattern = next(iter(patterns.items()))
        raise ShareError(
            f"DVC would leave out {len(patterns)} files, such as {path}, by the pattern "
            f"{pattern}: remove it, or except what is shared in the lines after it (!/results/** "
            "and !/data/**). Nothing was shared"
        )


def _track_data(experiment: str) -> None:
    """Let DVC keep the images that the experiment uses, beside those of others that it has.

    The pointer that the project ships with names hashes alone.
    """
    jobs = read_provenance(experiment).values()
    outputs = {Path(p).parts for job in jobs for p in job.outputs if p.startswith("data/")}
    variants = sorted({f"data/{parts[1]}" for parts in outputs})
    text = read_text(DATA) or ""
    kept = "".join(line for line in text.splitlines(True) if line.strip() != "cache: false")
    if not text or kept != text:
        if kept:
            with atomic(DATA) as handle:
                handle.write(kept.encode())
        dvc("add", "data")
    elif variants:
        dvc("add", *variants)


def _told(experiment: str) -> list[Path]:
    """What git keeps beside the pointers: about the results, and what was to be shown by them."""
    return [provenance_path(experiment), metrics_path(experiment), lock_path(experiment)]


def _stage_in_git(experiment: str, config: Path, with_settings: bool) -> None:
    paths = [PIPELINE, PIPELINE_LOCK, DATA, GIT_IGNORE, config]
    paths += _told(experiment)
    paths += [PROJECT_SETTINGS] if with_settings else []
    here = [str(path) for path in paths if read_text(path) is not None]
    must_git(ShareError, "add", "--force", "--", *here)


def _without_remote(experiment: str, config: Path) -> str:
    return (
        f"{experiment}: DVC has the results and git the pointers, but no remote is set, so nothing "
        "was pushed.\n"
        "Set one, and share again:\n"
        "  dvc remote add --default <name> ssh://user@host/path    (or a folder, or WebDAV)\n"
        f"  make share{of_experiment(config.as_posix())}"
    )


def _for_colleagues(experiment: str, config: Path, remote: Remote, pushed: str) -> str:
    parts = parts_in_dvc(experiment, shared_parts(experiment))
    folders = ", ".join(Path(part).name for part in parts)
    name, url = shlex.quote(remote.name), shlex.quote(remote.url)
    message = in_quotes(f"Results of {experiment}")
    return "\n".join(
        [
            f"{experiment}: {pushed or 'everything was there'} ({remote.name}; {folders}).",
            "Now commit and push what is staged:",
            f"  git commit -m {message} && git push",
            "A colleague then types:",
            "  git clone <this repository> && cd <its folder>",
            # What only this clone's or user's settings name, no other clone knows.
            *([f"  dvc remote add --local --default {name} {url}"] if remote.is_local else []),
            f"  make pull {make_argument('CONFIG', config.as_posix())}",
        ]
    )


def main() -> int:
    """Read the arguments, share, and give the exit status."""
    parser = argparse.ArgumentParser(description="Share an experiment's results.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--stale", action="store_true", help="even if something is stale")
    arguments = parser.parse_args()
    return exit_status(lambda: share(arguments.config, arguments.stale))


if __name__ == "__main__":
    sys.exit(main())
