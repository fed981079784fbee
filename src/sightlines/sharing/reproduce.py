"""Make one result again, beside the one that is here, and compare the two.

    make reproduce RESULT=results/default/tables/cka.parquet
    make reproduce RESULT=results/default/models/mixer/f100/s0/history.csv TOLERANCE=1e-3

On the machine that made it, the bytes are the same. Other hardware sums in another order: numbers
may then differ by the tolerance, relative to the largest number of their column or tensor.
Nothing that is here is changed; the job runs in a folder of its own, with links to its inputs.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sightlines.core.checkout import exit_status
from sightlines.core.errors import ResultError
from sightlines.core.files import read_json, read_npy, read_table, sha256
from sightlines.jobs.command import record_path
from sightlines.plan.experiment_names import config_of
from sightlines.sharing.explain import differences, say
from sightlines.sharing.provenance import Provenance, local_jobs, read_provenance
from sightlines.sharing.registration import lock_path
from sightlines.sharing.snakemake_settings import ONE_JOB

WORKPLACE = Path(".cache/sightlines/reproduce")
TOLD = {"config": "config", "packages": "packages", "hardware": "hardware", "notes": "how it ran"}
"""Parts of a record that are compared, and what they are called."""
ROOT = Path(__file__).resolve().parents[3]


def reproduce(result: str, config: Path, tolerance: float) -> bool:
    """Make `result`, and what its job makes with it, again; say what differs.

    Args:
        result: Path of a result below `results/<experiment>/`.
        config: The experiment's config file.
        tolerance: Largest difference, relative to the largest number of a column or tensor.

    Returns:
        Whether all outputs of the job agree.

    Raises:
        ResultError: no record names the result, its inputs are not here, or the job fails.
    """
    job = _find(result)
    place = _workplace(job)
    try:
        _run(job, result, config, place)
        for line in changes(job.record, read_json(place / record_path(Path(job.log)))):
            print(line)
        verdicts = [_compare(path, place / path, tolerance) for path in sorted(job.outputs)]
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return all(verdicts)


def _find(result: str) -> Provenance:
    parts = Path(result).parts
    if len(parts) < 3 or parts[0] != "results":
        raise ResultError(f"{result} is no result: name a file below results/<experiment>/")
    for job in (*local_jobs(parts[1]), *read_provenance(parts[1]).values()):
        if result in job.outputs:
            return job
    raise ResultError(f"no record names {result}: run the experiment, or pull it")


def _workplace(job: Provenance) -> Path:
    absent = [path for path in job.inputs if not Path(path).is_file()]
    if absent:
        raise ResultError(
            f"{len(absent)} inputs of {job.name} are not here, such as {absent[0]}: pull them "
            f"first (make pull), or make them (snakemake {shlex.quote(absent[0])})"
        )
    changed = [path for path, digest in job.inputs.items() if sha256(Path(path)) != digest]
    if changed:
        raise ResultError(f"{job.name} was made from another version of {changed[0]}")
    place = WORKPLACE.absolute()
    shutil.rmtree(place, ignore_errors=True)
    lock = lock_path(Path(job.log).parts[1])  # verdicts say where it has other criteria
    for path in [*job.inputs, *([lock.as_posix()] if lock.is_file() else [])]:
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).symlink_to(Path(path).resolve())
    return place


def _run(job: Provenance, result: str, config: Path, place: Path) -> None:
    """Run the one job: its inputs are there, and nothing but a missing file is a reason."""
    words = [Path(sys.executable).with_name("snakemake"), result, "--snakefile", ROOT / "Snakefile"]
    words += ["--directory", place, "--rerun-triggers", "mtime", "--quiet", "all"]
    words += ["--configfile", config.absolute(), "--config", "recompute=true"]
    say(f"Making {job.name} again …")
    alone = os.environ | {ONE_JOB: "1"}
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=alone)
    if done.returncode:
        raise ResultError(f"{job.name} failed:\n{(done.stdout + done.stderr).strip()}")


def changes(record: dict[str, Any], again: dict[str, Any]) -> list[str]:
    """What differs between two records of a job: then so may the numbers.

    Args:
        record: Of the result that is here.
        again: Of the one that was made again.
    """
    lines = []
    for key, name in TOLD.items():
        changed = list(differences(record.get(key), again.get(key)))
        if changed:
            lines.append(f"{name} differs from the record: {', '.join(changed[:5])}")
    if record.get("code") != again.get("code"):
        lines.append("the code differs from the record")
    return lines


def _compare(path: str, again: Path, tolerance: float) -> bool:
    here = Path(path)
    if not here.is_file():
        print(f"{path}: not here, nothing to compare")
        return True
    if sha256(here) == sha256(again):
        print(f"{path}: identical")
        return True
    try:
        pairs = list(_numbers(here, again))
    except (ResultError, ValueError, KeyError) as error:
        print(f"{path}: differs ({error})")
        return False
    largest, where = max(((_difference(a, b), name) for name, a, b in pairs), default=(0.0, ""))
    is_close = largest <= tolerance
    relation = "within" if is_close else "beyond"
    print(f"{path}: {relation} {tolerance:g}, largest difference {largest:.3g} ({where})")
    return is_close


def _numbers(here: Path, again: Path) -> Iterator[tuple[str, Any, Any]]:
    """Name, value here and value made again, of everything that the two files hold."""
    if here.suffix in (".csv", ".parquet"):
        left, right = read_table(here), read_table(again)
        if list(left) != list(right) or len(left) != len(right):
            raise ValueError("other columns or rows")
        yield from ((name, left[name].to_numpy(), right[name].to_numpy()) for name in left)
    elif here.suffix == ".safetensors":
        from safetensors.numpy import load_file

        tensors, others = load_file(here), load_file(again)
        if tensors.keys() != others.keys():
            raise ValueError("other tensors")
        yield from ((name, tensors[name], others[name]) for name in tensors)
    elif here.suffix == ".npy":
        yield "array", read_npy(here), read_npy(again)
    elif here.suffix == ".json":
        changed = list(differences(read_json(here), read_json(again)))
        raise ValueError(", ".join(changed[:3]))
    else:
        raise ValueError("its bytes are others, and it holds no numbers to compare")


def _difference(left: Any, right: Any) -> float:
    """Largest difference, relative to the largest number; infinite where others differ."""
    left, right = np.asarray(left), np.asarray(right)
    if left.shape != right.shape:
        return float("inf")
    if not (np.issubdtype(left.dtype, np.number) and np.issubdtype(right.dtype, np.number)):
        same = (left == right) | ((left != left) & (right != right))
        return 0.0 if bool(np.all(same)) else float("inf")
    left, right = left.astype(np.float64), right.astype(np.float64)
    if not np.array_equal(np.isfinite(left), np.isfinite(right)):
        return float("inf")
    finite = np.isfinite(left)
    if not finite.any():
        return 0.0
    scale = max(float(np.abs(left[finite]).max()), np.finfo(np.float64).tiny)
    return float(np.abs(left[finite] - right[finite]).max()) / scale


def main() -> int:
    """Read the arguments, make the result again, and give the exit status."""
    parser = argparse.ArgumentParser(description="Make one result again and compare it.")
    parser.add_argument("result")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.0)
    arguments = parser.parse_args()
    parts = Path(arguments.result).parts
    name = parts[1] if len(parts) > 1 else "default"

    def work() -> bool | None:
        config = arguments.config or config_of(name, Path("workflow/config"))
        return reproduce(arguments.result, config, arguments.tolerance)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
