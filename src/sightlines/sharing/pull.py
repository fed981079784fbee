"""Fetch results that were shared.

    make pull                                                   # the default experiment, whole
    make pull WHAT="report figures tables"                      # a few MB, no weights
    make pull CONFIG=workflow/config/cifar10.yaml WHAT=dumps    # of another experiment

The next `snakemake` holds every pulled file against its record before it uses it.
"""

import argparse
import sys
from pathlib import Path

from sightlines.errors import ShareError, exit_status
from sightlines.sharing.dvc import (
    DATA,
    IMAGES,
    PARTS,
    Remote,
    check_listings,
    default_remote,
    dvc,
    explain_failure,
    parts_in_dvc,
    require_repository,
    shared_parts,
)
from sightlines.sharing.explain import say
from sightlines.sharing.paths import refuse_links
from sightlines.sharing.provenance import read_provenance
from sightlines.sharing.remotes import prepare

SHORT = {"report": "report.html", "splits": "data"}


def pull(experiment: str, what: list[str], force: bool) -> None:
    """Pull an experiment, or parts of it.

    Raises:
        ShareError: it was not shared, a part is unknown, or the remote lacks or damages files.
    """
    require_repository()
    remote = default_remote()
    parts = shared_parts(experiment)
    if remote is None or not parts:
        print(_nothing_shared(experiment, remote, parts))
        return
    prepare(remote)
    wanted = _targets(experiment, parts, what)
    for folder in (Path("results", experiment), Path("data")):
        refuse_links(folder)
    say(_sizes(experiment, wanted))
    fetched = dvc("fetch", *wanted, check=False)
    check_listings(wanted)  # also of what came before something failed
    done = dvc("checkout", *wanted, *(["--force"] if force else []), check=False)
    if fetched.returncode:
        raise ShareError(f"dvc fetch: {explain_failure(fetched)}")
    if done.returncode:
        said = done.stderr + done.stdout
        if "--force" in said or "going to be removed" in said or "unsaved" in said:
            raise ShareError(
                "files here differ from the shared ones and would be lost. Share them first, or "
                f"give them up: make pull FORCE=1\n{said.strip()}"
            )
        raise ShareError(f"dvc checkout: {explain_failure(done)}")
    print(f"{fetched.stdout.strip()}\n{done.stdout.strip()}".strip())
    report = Path("results", experiment, "report.html")
    if report.exists():
        print(f"The report: {report}")


def _targets(experiment: str, parts: list[str], what: list[str]) -> list[str]:
    if not what:
        return [*parts_in_dvc(experiment, parts), str(DATA)]
    known = {Path(part).name: part for part in parts_in_dvc(experiment, parts)}
    targets = []
    for word in what:
        name = SHORT.get(word, word)
        if name == IMAGES:
            targets.append(str(DATA))
        elif name in known:
            targets.append(known[name])
        else:
            raise ShareError(
                f"{experiment} has no shared part {word!r}; there are {', '.join([*known, IMAGES])}"
            )
    return targets


def _sizes(experiment: str, targets: list[str]) -> str:
    """How many files and bytes are asked for, from their records."""
    lines = []
    jobs = read_provenance(experiment).values()
    sizes = {path: size for job in jobs for path, size in job.sizes.items()}
    for target in targets:
        folder = "data" if target == str(DATA) else target
        inside = [s for p, s in sizes.items() if p == folder or p.startswith(f"{folder}/")]
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
        f"To make them here: make run"
    )


def main() -> int:
    """Read the arguments, pull, and give the exit status."""
    parser = argparse.ArgumentParser(description="Pull an experiment's shared results.")
    parser.add_argument("experiment")
    parser.add_argument("what", nargs="*", help=f"parts: {', '.join((*PARTS, IMAGES))}")
    parser.add_argument("--force", action="store_true", help="over files that differ")
    arguments = parser.parse_args()
    return exit_status(lambda: pull(arguments.experiment, arguments.what, arguments.force))


if __name__ == "__main__":
    sys.exit(main())
