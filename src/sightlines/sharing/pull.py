"""Fetch results that were shared.

    make pull                                                   # the default experiment, whole
    make pull WHAT="report figures tables"                      # no weights, no dumps
    make pull WHAT=dumps/gram                                   # a folder of a part
    make pull CONFIG=workflow/config/cifar10.yaml WHAT=dumps    # of another experiment

The next `snakemake` holds every pulled file against its record before it uses it.
"""

import argparse
import os
import sys
from pathlib import Path, PurePosixPath

from sightlines.core.checkout import exit_status
from sightlines.core.errors import ShareError
from sightlines.plan.experiment_names import config_of, named
from sightlines.sharing.dvc import (
    DATA,
    IMAGES,
    PARTS,
    PIPELINE_LOCK,
    Remote,
    check_listings,
    default_remote,
    dvc,
    explain_failure,
    is_shared,
    parts_in_dvc,
    require_repository,
    shared_parts,
)
from sightlines.sharing.explain import of_experiment, say
from sightlines.sharing.losses import left_out, only_here
from sightlines.sharing.paths import refuse_links
from sightlines.sharing.provenance import read_provenance, removed_before_sharing
from sightlines.sharing.remotes import prepare

DIFFER = "files here differ from the shared ones and would be lost"
SHORT = {"report": "report.html", "splits": "data"}


def pull(experiment: str, what: list[str], force: bool) -> None:
    """Pull an experiment, or parts of it.

    Raises:
        ShareError: it was not shared, a part is unknown, or the remote lacks or damages files.
    """
    require_repository()
    was_shared = is_shared(experiment)
    remote = default_remote()
    parts = shared_parts(experiment)
    if was_shared and not parts:
        raise ShareError(
            f"{experiment} was shared, but {PIPELINE_LOCK} names no results of it: its entry was "
            f"lost, as by a merge that took one side whole. Take {PIPELINE_LOCK} from a commit "
            f"that has it (git log -- {PIPELINE_LOCK}), or whoever has the results runs `make "
            "share` again"
        )
    if remote is None or not parts:
        print(_nothing_shared(experiment, remote, parts))
        return
    prepare(remote)
    jobs = read_provenance(experiment).values()
    left = removed_before_sharing(experiment)
    sizes = {p: size for job in jobs for p, size in job.sizes.items() if p not in left}
    wanted = _targets(parts_in_dvc(experiment, parts), what, sizes)
    asked = [path for target in wanted for path in _within(target, sizes)]
    _refuse_patterns(asked)
    for folder in (Path("results", experiment), Path("data")):
        refuse_links(folder)
    say(_sizes(wanted, sizes))
    fetched = dvc("fetch", *wanted, check=False)
    check_listings(wanted)  # also of what came before something failed
    if not force:
        _refuse_losses(wanted, experiment)
    done = dvc("checkout", *wanted, *(["--force"] if force else []), check=False)
    if fetched.returncode:
        raise ShareError(f"dvc fetch: {explain_failure(fetched)}")
    if done.returncode:
        said = done.stderr + done.stdout
        if "--force" in said or "going to be removed" in said or "unsaved" in said:
            raise ShareError(f"{_differ(experiment)}\n{said.strip()}")
        raise ShareError(f"dvc checkout: {explain_failure(done)}")
    print(f"{fetched.stdout.strip()}\n{done.stdout.strip()}".strip())
    report = Path("results", experiment, "report.html")
    if report.exists():
        print(f"The report: {report}")
    _tell_missing(asked)


def _refuse_patterns(asked: list[str]) -> None:
    """Stop where DVC would leave out what is asked for, and say that all is up to date."""
    if patterns := left_out(asked):
        path, pattern = next(iter(patterns.items()))
        raise ShareError(
            f"DVC leaves out {len(patterns)} of the files asked for, such as {path}, by the "
            f"pattern {pattern}: remove it, and pull again. Nothing was pulled"
        )


def _refuse_losses(wanted: list[str], experiment: str) -> None:
    if own := only_here(wanted, experiment):
        raise ShareError(f"{_differ(experiment)}\n{len(own)} files, such as {own[0]}")


def _tell_missing(asked: list[str]) -> None:
    """Say which recorded files did not come, though DVC has nothing more to fetch."""
    if absent := [path for path in asked if not os.path.lexists(path)]:
        raise ShareError(
            f"{len(absent)} recorded files are not among those that were shared, such as "
            f"{absent[0]}; all others are here. Whoever has them runs `make share` again; or make "
            "them here: snakemake"
        )


def _targets(parts: list[str], what: list[str], sizes: dict[str, int]) -> list[str]:
    """What DVC is asked for; of a folder of a part it would not say that there is none."""
    if not what:
        return [*parts, str(DATA)]
    known = {Path(part).name: part for part in parts}
    targets = []
    for word in what:
        name, *inside = PurePosixPath(SHORT.get(word, word)).parts or ("",)
        target = "/".join([known.get(name, name), *inside])
        if target == IMAGES:
            targets.append(str(DATA))
        elif name in known and (not inside or _within(target, sizes)):
            targets.append(target)
        else:
            raise ShareError(
                f"no part {word!r} was shared; there are {', '.join([*known, IMAGES])}, "
                "and folders in these, such as dumps/gram"
            )
    return targets


def _within(target: str, sizes: dict[str, int]) -> dict[str, int]:
    """Bytes of the recorded files in what DVC is asked for, by path."""
    folder = "data" if target == str(DATA) else target
    return {p: s for p, s in sizes.items() if p == folder or p.startswith(f"{folder}/")}


def _sizes(targets: list[str], sizes: dict[str, int]) -> str:
    """How many files and bytes are asked for, from their records."""
    lines = []
    for target in targets:
        inside = _within(target, sizes).values()
        folder = "data" if target == str(DATA) else target
        lines.append(f"  {folder}: {len(inside)} files, {sum(inside) / 1e6:,.1f} MB")
    return "\n".join(["Asked for (what is here already is not fetched again):", *lines])


def _nothing_shared(experiment: str, remote: Remote | None, parts: list[str]) -> str:
    if parts:
        return (
            f"{experiment} was shared, but no remote is set in this clone, so nothing was pulled. "
            "Set it: dvc remote add --default <name> <url>"
        )
    where = "" if remote else "no remote is set and "
    return (
        f"Nothing was pulled: {where}this commit names no shared results of {experiment}. "
        f"To make them here: make run{of_experiment(_config(experiment))}"
    )


def _differ(experiment: str) -> str:
    give_up = f"make pull FORCE=1{of_experiment(_config(experiment))}"
    return f"{DIFFER}. Share them first, or give them up: {give_up}"


def _config(experiment: str) -> str:
    return config_of(experiment, Path("workflow/config")).as_posix()


def main() -> int:
    """Read the arguments, pull, and give the exit status."""
    parser = argparse.ArgumentParser(description="Pull an experiment's shared results.")
    parser.add_argument("experiment", help="its name, or its config file")
    parser.add_argument("what", nargs="*", help=f"parts: {', '.join((*PARTS, IMAGES))}")
    parser.add_argument("--force", action="store_true", help="over files that differ")
    arguments = parser.parse_args()
    return exit_status(lambda: pull(named(arguments.experiment), arguments.what, arguments.force))


if __name__ == "__main__":
    sys.exit(main())
