"""How long jobs will take, about: from records of earlier runs, else from what some runs took.

Only the console shows it, and corrects it by the jobs that have ended; no result depends on it.

What a job takes here is what it took where the constants below were measured, times what the
records of this folder say of this machine. A job's own record says it best, then those of other
jobs of its kind.
"""

import contextlib
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from sightlines.core.errors import SightlinesError
from sightlines.jobs.command import job_name
from sightlines.plan import schedule
from sightlines.sharing.records import JobRecord, read_record, record_of

SHIPPED_S = {
    "claims": 20.0,
    "control": 0.3,
    "draw": 1.5,
    "dump": 0.55,
    "dump/confidences": 1.5,
    "dump/corruption_depth": 3.1,
    "dump/cutouts": 0.1,
    "dump/features": 1.7,
    "dump/frequencies": 8.2,
    "dump/frequency_depth": 1.9,
    "dump/gram": 0.9,
    "dump/lesions": 0.1,
    "dump/occlusion_depth": 3.1,
    "dump/perturbations": 8.6,
    "dump/pixels": 0.1,
    "dump/predictions": 2.3,
    "dump/receptive_field": 6.8,
    "dump/token_features": 1.6,
    "measure": 0.3,
    "measure/cka": 8.6,
    "measure/diagnostics": 4.3,
    "measure/estimator": 7.8,
    "measure/finetuning": 1.8,
    "measure/head_subsets": 7.0,
    "measure/knn": 6.0,
    "measure/localisation": 2.5,
    "measure/probes": 6.6,
    "measure/similarity_indices": 13.0,
    "measure/smaller_minibatches": 1.4,
    "measure/token_cka": 2.5,
    "measure/token_probes": 13.8,
    "report": 10.5,
    "train": 1.0,
    "transfer": 0.1,
    "transfer/*/confidences": 0.9,
    "transfer/*/features": 1.9,
    "transfer/*/finetune": 1.0,
    "transfer/*/gram": 1.3,
    "transfer/*/prepare": 0.7,
    "transfer/*/tuned_attention": 0.7,
    "transfer/*/tuned_gram": 1.4,
    "transfer/*/tuned_shown_predictions": 2.6,
}
"""Kind of job -> seconds, for want of any record: geometric means of `default` and `cifar10_small`
on one core of an AMD EPYC (Zen 5). A kind that is not listed counts as the first of its folders;
what trains takes as long besides as its steps do."""
OTHERS_S = 0.4
SHOWN_S = {
    "dump/corruptions": 0.0012,
    "dump/cutouts": 0.0006,
    "dump/lesions": 0.002,
    "dump/occlusions": 0.0005,
}
"""Dump of changed images -> seconds for an image and what is listed of its changes."""
TRAINED_S = {"fnet": 2.6e-6, "mixer": 3.7e-6, "resnet": 3.5e-6, "vit": 5.0e-6}
"""Family -> seconds for an image of 32 px, each time counted, and a feature of one layer (width ×
depth): forwards, backwards, and the step."""
TRAINED_OTHERWISE_S = 0.0015
"""The same for an image, of a network whose width and depth its settings do not tell."""
MOST_READ = 3
"""Records of other jobs of a kind that are read, at most."""


def seconds(log: str, settings: str) -> float:
    """How long a job will take alone, in seconds, about.

    Args:
        log: Its log, `results/<experiment>/logs/…`.
        settings: Its slice of the config, as JSON.
    """
    kind = _kind(log)
    try:
        expected = shipped(kind, json.loads(settings))
    except (ValueError, RecursionError):
        expected = shipped(kind, {})
    own = record_of(log)
    for known in ((own,), _others(kind)):
        timed = [record for record in known if _time(record)]
        if timed:
            rated = sum(shipped(kind, record.get("config")) for record in timed)
            return expected * sum(map(_time, timed)) / rated
    return expected


def shipped(kind: str, cut: Any) -> float:
    """Seconds for want of any record; above 0.

    Args:
        kind: Of the job, such as ``dump/gram``, ``train`` or ``transfer/*/finetune``.
        cut: Its slice of the config, as far as it can be read.
    """
    cut = cut if isinstance(cut, Mapping) else {}
    alone = SHIPPED_S.get(kind, SHIPPED_S.get(kind.partition("/")[0], OTHERS_S))
    if kind in SHOWN_S:
        return alone + SHOWN_S[kind] * _shown(cut.get("conditions"))
    return alone + _training(cut)


def _shown(conditions: Any) -> float:
    """Images that a dump shows, counted once for each change that its lists name."""
    if not isinstance(conditions, Mapping) or not _is_count(images := conditions.get("images")):
        return 0.0
    return float(images * (1 + sum(len(v) for v in conditions.values() if isinstance(v, list))))


def _training(cut: Mapping[str, Any]) -> float:
    """Seconds of the steps of a training; 0 of what trains nothing."""
    model = cut.get("model")
    recipe: Any = model.get("train") if isinstance(model, Mapping) else None
    try:
        steps = schedule.total_steps(recipe, cut["network"][1])
        size = recipe["batch_size"]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, SightlinesError):
        return 0.0
    if not (_is_count(steps) and _is_count(size) and isinstance(model, Mapping)):
        return 0.0
    return float(steps * size) * _an_image(model)


def _an_image(model: Mapping[str, Any]) -> float:
    """Seconds for which a model trains on one image."""
    width, depth = model.get("width"), model.get("depth")
    features: list[float] = [width * depth] if _is_count(width) and _is_count(depth) else []
    units, channels = model.get("units"), model.get("channels")
    if isinstance(units, list) and isinstance(channels, list):
        features = [u * c for u, c in zip(units, channels, strict=False) if _is_count(u * c)]
    if not features or model.get("family") not in TRAINED_S:
        return TRAINED_OTHERWISE_S
    return float(TRAINED_S[model["family"]] * sum(features))


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1e12


def _kind(log: str) -> str:
    """`dump/gram` of `results/mine/logs/dump/gram/vit/f100/s0.log`, `train` of one of training.

    Of another task `transfer/*/gram`, whatever the task's name.
    """
    path = Path(log)
    if "logs" not in path.parts[:-1]:
        return ""
    inner = job_name(path).split("/")
    if inner[0] == "transfer" and len(inner) > 2:
        return f"transfer/*/{inner[2]}"
    return "/".join(inner[: 2 if inner[0] in ("dump", "measure", "draw") else 1])


@functools.cache
def _others(kind: str) -> tuple[JobRecord, ...]:
    """Some records of jobs of a kind, of any experiment of this folder."""
    found: list[JobRecord] = []
    if not kind:
        return ()
    for experiment in sorted(Path("results").glob("*/records")):
        alone = sorted(experiment.glob(f"{kind}.json"))
        many = (path for place in sorted(experiment.glob(kind)) for path in place.rglob("*.json"))
        for path in alone or sorted(many)[:MOST_READ]:
            with contextlib.suppress(SightlinesError, OSError):
                found.append(read_record(path))
    return tuple(found[:MOST_READ])


def _time(record: JobRecord) -> float:
    wall = record.get("wall_s")
    if isinstance(wall, bool) or not isinstance(wall, int | float):
        return 0.0
    return float(wall) if 0 < wall < 1e9 else 0.0
