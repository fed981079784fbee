"""What would be lost without a word: what DVC leaves out, and what a checkout takes away."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from sightlines.core.file_hashes import hash_files
from sightlines.core.git import git
from sightlines.sharing.dvc import dvc, open_repository
from sightlines.sharing.provenance import read_provenance
from sightlines.sharing.tracked import recorded_outputs

CHANGED = ("added", "modified", "unknown")
"""Files here that DVC tells from the shared ones; it also tells of renamed ones."""
Content = tuple[str, str]
"""Path and SHA-256 of a file."""


def left_out(paths: Iterable[str]) -> dict[str, str]:
    """Of some files those that DVC leaves out, each with its reason.

    Args:
        paths: Relative to the project's root.

    Returns:
        Path -> place and text of the pattern, such as ``.dvcignore:4:*.png``.
    """
    with open_repository() as repo:
        found = [repo.dvcignore.check_ignore(path) for path in paths]
    return {f.file: str(f.pattern_infos[-1].file_info or "DVC") for f in found if f.match}


def only_here(targets: Iterable[str], experiment: str) -> list[str]:
    """Files here that a checkout would replace or delete, and that no commit could give back.

    A file that some commit shared just as it is can be pulled again. One that is as the provenance
    here records it is a result of now, whatever was shared.

    Args:
        targets: What would be checked out, fetched before.
        experiment: Its name.
    """
    at_stake = sorted(_changed(targets))
    found = set(zip(at_stake, hash_files(Path(), at_stake), strict=True))
    own = found & set(_recorded_now(experiment, at_stake))
    unknown = found - own
    for provenance in _committed() if unknown else ():
        unknown -= provenance
        if not unknown:
            break
    return sorted(path for path, _ in own | unknown)


def _changed(targets: Iterable[str]) -> set[str]:
    """Files here that are not what was shared, or were not shared, in what DVC keeps."""
    targets = [t for t in targets if t.endswith(".dvc") or Path(t).exists()]
    if not targets:
        return set()
    status = json.loads(dvc("data", "status", "--granular", "--json", "--", *targets).stdout)
    changes = status.get("uncommitted", {})
    names = {name for kind in CHANGED for name in changes.get(kind, ())}
    names |= {renamed["new"] for renamed in changes.get("renamed", ())}
    return {name for name in names if Path(name).is_file() or Path(name).is_symlink()}


def _recorded_now(experiment: str, paths: Iterable[str]) -> Iterator[Content]:
    """What provenance files here record; of images, those of each experiment."""
    names = {experiment}
    if any(path.startswith("data/") for path in paths):
        names |= {path.parent.name for path in Path("results").glob("*/provenance.json")}
    for name in names:
        for job in read_provenance(name).values():
            yield from job.outputs.items()


def _committed() -> Iterator[set[Content]]:
    """What each provenance file of each commit records, the latest first."""
    log = ("log", "--all", "-m", "--raw", "--no-abbrev", "--no-renames", "--format=")
    listed = git(*log, "--", "results/*/provenance.json")
    blobs = dict.fromkeys(line.split()[3] for line in listed.splitlines() if line)
    for blob in blobs:
        # One that cannot be read can give nothing back.
        yield set((recorded_outputs(git("cat-file", "blob", blob)) or {}).items())
