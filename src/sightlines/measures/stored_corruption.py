"""How often networks are wrong on corrupted images that somebody else made, mean over corruptions.

Source: Hendrycks & Dietterich 2019, section 4. Tasks under `transfer` that are one corruption at
one severity of CIFAR-10-C (`kind: cifar10_c`) or of ImageNet-C (an image folder
`…/<corruption>/<1 … 5>`) are put together: mean over severities, then over the corruptions that
there are of the 15. Over AlexNet's errors it is CE, and their mean mCE, where the folders are all
of ImageNet-C with its 1,000 classes, all 15 corruptions and all five severities.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.confidences_reading import ConfidencesDump
from sightlines.measures.corruption import ALEXNET, MEAN
from sightlines.measures.responding import groups_of
from sightlines.plan.conditions import stored_corruption
from sightlines.plan.networks import Network
from sightlines.stats.jackknife import leave_one_out, standard_error

READS = ("foreign_confidences",)
USES = ("seed", "transfer")
NEEDS = ("stored_corruptions",)
TABLES = {
    "stored_corruption.csv": {
        "about": "How often networks are wrong on the files of ImageNet-C or CIFAR-10-C",
        "row": "network × corruption, and their mean",
        "columns": (
            "network",
            ("corruption", "text", "", "its name; mean: over those of the 15 that there are"),
            ("corruptions", "int", "", "how many corruptions this is a mean over"),
            ("severities", "int", "", "how many severities of each, at least"),
            ("images", "int", "images", "images of each severity, at least"),
            ("error", "float", "share", "wrong answers among all outputs, mean over severities"),
            ("error_se", "float", "share", "its standard error over groups of images"),
            (
                "over_alexnet",
                "float",
                "",
                "error ÷ AlexNet's on all of ImageNet-C; empty without all severities, or for "
                "CIFAR-10-C; of the mean: mean of these",
            ),
        ),
    },
}
FROST = {"frost": 0.826572}
"""AlexNet's error under frost, which analogues do not have (hendrycks/robustness, issue 10)."""
DENOMINATORS: Mapping[str, float] = {**ALEXNET, **FROST}
"""The 15 corruptions of ImageNet-C, over which means run."""
SEVERITIES = 5


def measure(
    foreign_confidences: dict[str, list[ConfidencesDump]], seed: int, transfer: dict[str, Any]
) -> dict[str, Any]:
    """Errors of each corruption and their mean.

    Args:
        foreign_confidences: Of each task, how sure and how right networks are.
        seed: The experiment's root seed.
        transfer: The config's tasks.
    """
    found: dict[Network, dict[tuple[str, int], ConfidencesDump]] = {}
    kinds = dict[Network, set[str]]()
    for task, dumps in foreign_confidences.items():
        stored = stored_corruption(transfer[task]["dataset"])
        for dump in dumps if stored else []:
            if stored and dump.right is not None:
                found.setdefault(dump.network, {})[stored] = dump
                kinds.setdefault(dump.network, set()).add(transfer[task]["dataset"]["kind"])
    frames = [
        pd.DataFrame(_rows(dumps, seed, kinds[network] == {"imagefolder"})).assign(
            **network._asdict()
        )
        for network, dumps in found.items()
    ]
    return {"stored_corruption.csv": frames}


def _rows(
    dumps: Mapping[tuple[str, int], ConfidencesDump], seed: int, is_imagenet: bool
) -> Iterator[dict[str, Any]]:
    names = list(dict.fromkeys(name for name, _ in dumps))
    errors, severities, images = dict[str, np.ndarray](), dict[str, int](), dict[str, int]()
    for name in names:
        own = [dump for (of, _), dump in sorted(dumps.items()) if of == name]
        errors[name] = np.mean([replicates(dump, seed) for dump in own], axis=0)
        severities[name] = len(own)
        images[name] = min(dump.images for dump in own)
    whole = [name for name in names if name in DENOMINATORS]
    ratios = {
        name: float(errors[name][0] / DENOMINATORS[name])
        for name in whole
        if is_imagenet and severities[name] == SEVERITIES
    }
    if whole:
        errors[MEAN] = np.mean([errors[name] for name in whole], axis=0)
        severities[MEAN], images[MEAN] = (min(k[n] for n in whole) for k in (severities, images))
        if len(ratios) == len(whole):
            ratios[MEAN] = float(np.mean([*ratios.values()]))
    for name, values in errors.items():
        yield {
            "corruption": name,
            "corruptions": len(whole) if name == MEAN else 1,
            "severities": severities[name],
            "images": images[name],
            "error": float(values[0]),
            "error_se": float(standard_error(values)),
            "over_alexnet": ratios.get(name, np.nan),
        }


def replicates(dump: ConfidencesDump, seed: int) -> np.ndarray:
    """Error of all images, and with each group left out [1 + groups]."""
    assert dump.right is not None
    groups = groups_of(dump.images, seed)
    wrong = np.bincount(groups, weights=~dump.right)
    return leave_one_out(wrong) / leave_one_out(np.bincount(groups).astype(np.float64))
