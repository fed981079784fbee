"""Remove dumps that are no longer needed: everything that is made from them was made.

    make clean-dumps                                        # of the default experiment
    make clean-dumps CONFIG=workflow/config/cifar10.yaml    # of another
    make clean-dumps DRY=1                                  # says what it would remove

A dump goes where it is as its record says, and where the records of all tables that this config
makes from it say that they were made from just these bytes, and the tables are here as recorded.
Networks, tables, figures, report and the account of how the dumps were made stay: the next
`snakemake` has nothing to do, and a changed measure makes just the dumps again that it reads, or
`make pull` brings them back where they were shared. What earlier runs left in `.cache` and nobody
can use any more goes, too.
"""

import argparse
import contextlib
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sightlines.core.checkout import exit_status
from sightlines.core.errors import DiskError, ResultError
from sightlines.core.file_hashes import hash_files
from sightlines.core.files import why_not_written
from sightlines.jobs.liveness import alone
from sightlines.plan.experiment import Experiment
from sightlines.sharing.explain import of_experiment
from sightlines.sharing.paths import refuse_links, result_files
from sightlines.sharing.provenance import Provenance, local_jobs, read_provenance, write_provenance
from sightlines.sharing.room import RULES, megabytes

CACHE = Path(".cache/sightlines")
LEFT_BEHIND = ("warm-*", "reproduce")
"""In CACHE: what commands remove at their end, and leave where they are killed."""
TRAINING = CACHE / "training"
MOST_NAMED = 5


@dataclass
class Dumps:
    """An experiment's dumps that are here.

    Attributes:
        needless: Bytes of each that all that is made from it was made from.
        needed: Why each other one stays, by path.
    """

    needless: dict[str, int] = field(default_factory=dict)
    needed: dict[str, str] = field(default_factory=dict)


def sort_out(experiment: Experiment) -> Dumps:
    """Tell dumps that are needed from those that are not.

    Raises:
        ResultError: there are no records, or one is damaged; a folder leads out of the project.
    """
    name = experiment.name
    refuse_links(Path("results", name))
    accounts = [*local_jobs(name), *read_provenance(name).values()]
    if not accounts:
        raise ResultError(
            f"results/{name} has no records: run the experiment, or pull its results, first"
        )
    present = set(result_files(name))
    recorded = {
        path
        for job in accounts
        if str(job.metadata.get("rule")).startswith(RULES)
        for path in job.outputs
    }
    dumps = sorted(present & recorded)
    made_from = _made_from(experiment)
    made = {path for dump in dumps for path in made_from.get(dump, ())}
    paths = sorted({*dumps, *(made & present)})
    hashes = dict(zip(paths, hash_files(Path(), paths), strict=True))
    by_output: dict[str, list[Provenance]] = {}
    for job in accounts:
        for path in job.outputs:
            by_output.setdefault(path, []).append(job)

    def as_recorded(path: str) -> list[Provenance]:
        made_by = by_output.get(path, ())
        return [job for job in made_by if job.outputs[path] == hashes.get(path, "?")]

    found = Dumps()
    for dump in dumps:
        waiting = [
            path
            for path in made_from.get(dump, ())
            if not any(job.inputs.get(dump) == hashes[dump] for job in as_recorded(path))
        ]
        if not as_recorded(dump):
            found.needed[dump] = "it is not what its record says"
        elif waiting:
            found.needed[dump] = f"{Path(waiting[0]).name} is not made from it yet"
        else:
            found.needless[dump] = Path(dump).lstat().st_size
    return found


def _made_from(experiment: Experiment) -> dict[str, list[str]]:
    """What the config makes from each file, directly."""
    found: dict[str, list[str]] = {}
    jobs = [
        ("measures", measure, [*experiment.outputs(measure).values()])
        for measure in experiment.measures
    ]
    jobs += [
        ("figures", figure, [*experiment.figure_files(figure).values()])
        for figure in experiment.figures
    ]
    for folder, member, outputs in jobs:
        for paths in experiment.inputs(folder, member).values():
            for path in paths:
                found.setdefault(path, []).extend(outputs)
    return found


def left_behind() -> list[Path]:
    """In `.cache`: what killed commands left, that no other will use."""
    found = (path for pattern in LEFT_BEHIND for path in sorted(CACHE.glob(pattern)))
    return [path for path in found if not path.is_symlink()]


def remove(experiment: str, paths: Iterable[str], caches: Iterable[Path]) -> None:
    """Remove dumps and caches; that the dumps were removed on purpose is written down before.

    Raises:
        DiskError: a file cannot be removed.
    """
    paths = list(paths)
    write_provenance(experiment, removed=paths)
    try:
        for path in paths:
            Path(path).unlink(missing_ok=True)
        for folder in sorted({Path(p).parent for p in paths}, key=lambda p: -len(p.parts)):
            _remove_empty(folder, Path("results", experiment))
        for cache in caches:
            shutil.rmtree(cache)
    except OSError as error:
        place = Path(str(error.filename))
        raise DiskError(
            f"cannot remove {place}: {why_not_written(place, error)}. Fix its folder's "
            "permissions and give the same command again"
        ) from error


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and those above it, below `top`, as far as they are empty."""
    for place in (folder, *folder.parents):
        if place == top or (place.is_dir() and any(place.iterdir())):
            return
        with contextlib.suppress(FileNotFoundError):
            place.rmdir()


def tell(name: str, found: Dumps, caches: Iterable[Path], is_dry: bool) -> Iterator[str]:
    """What is removed and what stays, line by line."""
    caches = list(caches)
    folder = f"results/{name}/"
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for path, size in found.needless.items():
        part = "/".join(path.removeprefix(folder).split("/")[:-3]) or "dumps/pixels"
        counts[part] += 1
        sizes[part] += size
    width = max(map(len, counts), default=0)
    for part, size in sorted(sizes.items(), key=lambda item: -item[1]):
        yield f"  {part:{width}s} {counts[part]:5d} {megabytes(size):>12s}"
    for cache in caches:
        yield f"  {cache}: left by a command that was killed, {megabytes(_bytes(cache))}"
    for path, why in list(found.needed.items())[:MOST_NAMED]:
        yield f"  kept: {path}: {why}"
    if len(found.needed) > MOST_NAMED:
        yield f"  and {len(found.needed) - MOST_NAMED} more are kept"
    if kept := _bytes(TRAINING):
        yield f"  kept: {TRAINING}: trainings that go on from there, {megabytes(kept)}"
    total = sum(sizes.values()) + sum(map(_bytes, caches))
    if not found.needless and not caches:
        yield f"{name}: there is nothing to remove"
        return
    verb = "would be removed" if is_dry else "removed"
    yield f"{name}: {len(found.needless)} dumps and {len(caches)} caches {verb}: {megabytes(total)}"


def _bytes(path: Path) -> int:
    """Of a folder's files; 0 where there is none."""
    total = 0
    for place, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(place, name).lstat().st_size
    return total


def clean(config: Path, is_dry: bool) -> None:
    """Remove an experiment's needless dumps, or say which these are.

    Raises:
        ConfigError: the config is wrong, or there is none.
        ResultError: a Snakemake is at work here, there are no records, or one is damaged.
        DiskError: a file cannot be removed.
    """
    experiment = Experiment.open(config)
    with alone("It may need the dumps"):
        found, caches = sort_out(experiment), left_behind()
        said = list(tell(experiment.name, found, caches, is_dry))
        if not is_dry and (found.needless or caches):
            remove(experiment.name, found.needless, caches)
    print("\n".join(said))
    if found.needless and not is_dry:
        pull = f"make pull WHAT=dumps{of_experiment(config.as_posix())}"
        print(f"Snakemake makes again what a change needs; {pull} brings back what was shared.")


def main() -> int:
    """Read the arguments, clean, and give the exit status."""
    parser = argparse.ArgumentParser(description="Remove dumps that are no longer needed.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--dry", action="store_true", help="only say what would be removed")
    arguments = parser.parse_args()
    return exit_status(lambda: clean(arguments.config, arguments.dry))


if __name__ == "__main__":
    sys.exit(main())
