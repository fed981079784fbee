"""How long jobs will take, about: from records of earlier runs, else from what `default` took.

Only the console shows it, and corrects it by the jobs that have ended; no result depends on it.
"""

import contextlib
import functools
import json
from pathlib import Path
from typing import Any

from sightlines.core.errors import SightlinesError
from sightlines.jobs.command import job_name
from sightlines.sharing.records import JobRecord, read_record, record_of

SHIPPED_S = {
    "train": 14.0,
    "dump": 1.4,
    "transfer": 2.5,
    "measure": 2.3,
    "draw": 1.0,
    "claims": 12.0,
    "report": 1.0,
}
"""First folder of a job's log -> seconds, for want of any record: means of `default` on one core of
an AMD EPYC (Zen 5)."""
OTHERS_S = 0.5
TRAINED_ON = 28_800
"""Images that a network of `default` is trained on, each time counted (900 steps of 32)."""
MOST_READ = 3
"""Records of other jobs of a kind that are read, at most."""


def seconds(log: str, settings: str) -> float:
    """How long a job will take alone, in seconds, about.

    Args:
        log: Its log, `results/<experiment>/logs/…`.
        settings: Its slice of the config, as JSON.
    """
    own = record_of(log)
    if time_s := _time(own):
        return time_s * _work(settings) / (_work_of(own) or _work(settings))
    kind = _kind(log)
    rates = [t / _work_of(r) for r in _others(kind) if (t := _time(r)) and _work_of(r)]
    if rates:
        return sum(rates) / len(rates) * _work(settings)
    shipped = SHIPPED_S.get(kind.partition("/")[0], OTHERS_S)
    is_training = _work(settings) > 1
    return shipped * (_work(settings) / TRAINED_ON if is_training else 1.0)


def _kind(log: str) -> str:
    """`dump/gram` of `results/mine/logs/dump/gram/vit/f100/s0.log`, `train` of one of training."""
    path = Path(log)
    if "logs" not in path.parts[:-1]:
        return ""
    inner = job_name(path).split("/")
    return "/".join(inner[: 2 if inner[0] in ("dump", "measure", "draw") else 1])


@functools.cache
def _others(kind: str) -> tuple[JobRecord, ...]:
    """Some records of jobs of a kind, of any experiment of this folder."""
    found: list[JobRecord] = []
    if not kind:
        return ()
    for experiment in sorted(Path("results").glob("*/records")):
        place = experiment / kind
        alone = place.with_suffix(".json")
        for path in [alone] if alone.is_file() else sorted(place.rglob("*.json"))[:MOST_READ]:
            with contextlib.suppress(SightlinesError, OSError):
                found.append(read_record(path))
    return tuple(found[:MOST_READ])


def _time(record: JobRecord) -> float:
    wall = record.get("wall_s")
    if isinstance(wall, bool) or not isinstance(wall, int | float):
        return 0.0
    return float(wall) if 0 < wall < 1e9 else 0.0


def _work_of(record: JobRecord) -> float:
    return _work_in(record.get("config"))


def _work(settings: str) -> float:
    try:
        return _work_in(json.loads(settings))
    except (ValueError, RecursionError):
        return 1.0


def _work_in(cut: Any) -> float:
    """Images that a network is trained on, each time counted; 1 of jobs that train none."""
    train = cut.get("train") if isinstance(cut, dict) else None
    if not isinstance(train, dict):
        return 1.0
    steps, batch = train.get("steps"), train.get("batch_size")
    if not (isinstance(steps, int) and isinstance(batch, int)):
        return 1.0
    return float(max(steps * batch, 1))
