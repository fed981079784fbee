"""Check every result of an experiment against its record; nothing is computed again.

    make verify                                    # the default experiment
    python -m sightlines.sharing.verify cifar10    # another, or several

Each job left a record of its inputs' and outputs' hashes. A file that is not what its record says,
or that was made from another version of an input, is listed with the job that makes it, and the
command ends with status 1. Records may come from somebody else: they are read as data, and
one that names a file outside `results/` and `data/` is refused.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sightlines.core.checkout import require_own_code
from sightlines.core.errors import ResultError, SightlinesError
from sightlines.core.file_hashes import UNREADABLE, hash_files
from sightlines.plan.experiment_names import named
from sightlines.sharing.paths import result_files
from sightlines.sharing.provenance import read_provenance, read_removed
from sightlines.sharing.records import JobRecord, no_longer_written, read_records


@dataclass(frozen=True)
class Account:
    """What a job said of its files.

    Attributes:
        job: Such as ``train/vit_small/f100/s0``.
        inputs: Hash by path.
        outputs: Hash by path; also of what only an earlier version of the job wrote.
    """

    job: str
    inputs: dict[str, str]
    outputs: dict[str, str]


@dataclass
class Findings:
    """What does not fit together.

    Attributes:
        checked: Number of files that were compared.
        jobs: Number of records.
        differing: One line a file that is not as recorded, or was made from other inputs.
        unknown: Files of the experiment that no record names.
        missing: Recorded files that are not here.
        removed: Files that are not here because they were removed on purpose.
    """

    checked: int = 0
    jobs: int = 0
    differing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def verify(experiment: str) -> Findings:
    """Hold the files below ``results/<experiment>`` against their records.

    Raises:
        ResultError: there are no records, or one is damaged or names files elsewhere.
    """
    folder = Path("results", experiment)
    accounts = [*map(_account, read_records(folder)), *_shared(experiment)]
    if not accounts:
        raise ResultError(
            f"{folder} has no records: run the experiment, or pull its results, and try again"
        )
    named = dict.fromkeys(p for r in accounts for p in (*r.outputs, *r.inputs))
    here = [path for path in named if Path(path).is_file()]
    hashes = dict(zip(here, hash_files(Path(), here), strict=True))
    records = list(_fitting(accounts, hashes))
    found = Findings(checked=len(here), jobs=len(records))
    accepted: dict[str, set[str]] = {}
    for record in accounts:
        for path, digest in record.outputs.items():
            accepted.setdefault(path, set()).add(digest)
    for record in records:
        found.differing += _compare(record, hashes, accepted)
    ours = dict.fromkeys(p for r in records for p in (*r.outputs, *r.inputs))
    removed = read_removed(experiment)
    absent = [path for path in ours if path not in hashes]
    found.missing = [path for path in absent if path not in removed]
    found.removed = [path for path in absent if path in removed]
    found.unknown = [path for path in sorted(result_files(experiment)) if path not in named]
    return found


def _account(record: JobRecord) -> Account:
    written = record["outputs"] | no_longer_written(record)
    return Account(str(record["job"]), record["inputs"], written)


def _shared(experiment: str) -> Iterator[Account]:
    for job in read_provenance(experiment).values():
        written = job.outputs | no_longer_written(job.record)
        yield Account(job.name, job.inputs, written)


def _fitting(accounts: list[Account], hashes: dict[str, str]) -> Iterator[Account]:
    """Of several accounts of one job, this folder's and the shared one, the one that fits."""
    jobs: dict[str, list[Account]] = {}
    for record in accounts:
        jobs.setdefault(record.job, []).append(record)
    for several in jobs.values():
        yield min(several, key=lambda r: sum(hashes.get(p, h) != h for p, h in r.outputs.items()))


def _compare(
    record: Account, hashes: dict[str, str], accepted: dict[str, set[str]]
) -> Iterator[str]:
    """Lines about a job's outputs; of those that are whole, about inputs that changed since."""
    is_whole = False
    for path, recorded in record.outputs.items():
        found = hashes.get(path)
        if found == UNREADABLE:
            yield f"{path} cannot be read ({record.job})"
        elif found is not None and found not in accepted[path]:
            yield f"{path} is not what {record.job} wrote"
        is_whole |= found == recorded
    if is_whole:
        for path, recorded in record.inputs.items():
            if hashes.get(path, recorded) != recorded:
                yield f"{record.job} was made from another version of {path}"


def main(experiments: Sequence[str]) -> int:
    """Verify experiments, say what was found, and give the exit status.

    Args:
        experiments: Their names, or their config files.
    """
    status = 0
    for word in experiments:
        try:
            require_own_code()
            found = verify(name := named(word))
        except SightlinesError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            status = 1
            continue
        for line in found.differing:
            print(f"{name}: {line}")
        for path in found.unknown:
            print(f"{name}: {path} has no record")
        bad = len(found.differing) + len(found.unknown)
        rest = f"; {len(found.missing)} recorded files are not here" if found.missing else ""
        if found.removed:
            rest += f"; {len(found.removed)} are not, which `make clean-dumps` removed"
        print(f"{name}: {found.checked} files of {found.jobs} jobs compared, {bad} differ{rest}")
        if bad:
            print(f"{name}: delete what differs and run snakemake again, or pull it again")
            status = 1
    return status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Check results against their records.")
    parser.add_argument("experiments", nargs="*", default=["default"])
    sys.exit(main(parser.parse_args().experiments))
