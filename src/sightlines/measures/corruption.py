"""How often networks are wrong on corrupted images.

Source: Hendrycks & Dietterich 2019, section 4: the error of a corruption is the mean over its
severities, and divided by AlexNet's it is the corruption error CE; the relative one is less the
error on clean images, in numerator and denominator. mCE is the mean of CE over corruptions. Without
AlexNet's numbers, which are of ImageNet alone, the mean error is reported, and called so.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from sightlines.conditions.corruption import NAMES, SEVERITIES
from sightlines.dumps.responses_reading import ResponsesDump
from sightlines.measures.responding import CLEAN, response_tables
from sightlines.stats.jackknife import ALL, standard_error

READS = ("corruptions",)
USES = ("seed",)
NEEDS = ("corruption",)
TABLES = {
    "corruption.parquet": {
        "about": "What networks answer to corrupted images",
        "row": "network × condition × severity × left_out",
        "columns": ("network", "response"),
    },
    "corruption_error.csv": {
        "about": "How often networks are wrong under each corruption: analogues of ImageNet-C",
        "row": "network × corruption, and their mean",
        "columns": (
            "network",
            (
                "corruption",
                "text",
                "",
                "its name; mean: over those of ImageNet-C that were measured, never frost",
            ),
            ("corruptions", "int", "", "how many corruptions this is a mean over"),
            ("severities", "int", "", "how many severities of each"),
            ("error", "float", "share", "wrong answers, mean over severities"),
            ("error_se", "float", "share", "its standard error over groups of images"),
            ("clean_error", "float", "share", "wrong answers to the same images, uncorrupted"),
            ("excess", "float", "share", "error − clean error"),
            ("excess_se", "float", "share", "its standard error"),
            (
                "ce",
                "float",
                "",
                "error ÷ AlexNet's, all severities; of the mean: mCE over these corruptions; empty "
                "unless the images are of ImageNet's 1,000 classes",
            ),
            ("relative_ce", "float", "", "excess ÷ AlexNet's excess, likewise"),
        ),
    },
}
MEAN = "mean"
ALEXNET: Mapping[str, float] = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.92264,
    "defocus_blur": 0.81988,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.79836,
    "snow": 0.866816,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.71784,
    "jpeg_compression": 0.6065,
}
"""AlexNet's error on ImageNet-C, mean over five severities (hendrycks/robustness, issue 10)."""
ALEXNET_CLEAN = 0.4348
"""AlexNet's error on ImageNet's validation images (torchvision's weights)."""
IMAGENET_CLASSES = 1000


def measure(corruptions: list[ResponsesDump], seed: int) -> dict[str, Any]:
    """Statistics of every corruption.

    Args:
        corruptions: Of each network.
        seed: The experiment's root seed.
    """
    tables = list(response_tables(corruptions, seed))
    errors = [
        pd.DataFrame(errors_of(table, len(dump.answers))).assign(**dump.network._asdict())
        for dump, table in zip(corruptions, tables, strict=True)
        if len(dump.answers)
    ]
    return {"corruption.parquet": tables, "corruption_error.csv": errors}


def errors_of(table: pd.DataFrame, classes: int) -> Iterator[dict[str, Any]]:
    """One row a corruption, then their mean.

    Args:
        table: Rows of one network of ``corruption.parquet``.
        classes: Of the images: AlexNet's errors are means over all of ImageNet's.
    """
    wrong = 1 - table.pivot_table(
        index="left_out", columns=["condition", "severity"], values="accuracy"
    )
    clean = wrong[CLEAN].to_numpy()[:, 0]
    names = [name for name in table["condition"].unique() if name != CLEAN]
    error = {name: wrong[name].to_numpy().mean(axis=1) for name in names}
    severities = {name: wrong[name].shape[1] for name in names}
    whole = [name for name in names if name in NAMES]
    if whole:
        error[MEAN] = np.mean([error[name] for name in whole], axis=0)
        severities[MEAN] = min(severities[name] for name in whole)
    is_imagenet = classes == IMAGENET_CLASSES
    ce, relative = dict[str, float](), dict[str, float]()
    for name in whole:
        if is_imagenet and severities[name] == len(SEVERITIES):
            ce[name] = error[name][0] / ALEXNET[name]
            relative[name] = (error[name] - clean)[0] / (ALEXNET[name] - ALEXNET_CLEAN)
    if ce and len(ce) == len(whole):
        ce[MEAN], relative[MEAN] = (float(np.mean([*own.values()])) for own in (ce, relative))
    for name, values in error.items():
        yield {
            "corruption": name,
            "corruptions": len(whole) if name == MEAN else 1,
            "severities": severities[name],
            "error": values[0],
            "error_se": float(standard_error(values)),
            "clean_error": clean[0],
            "excess": (values - clean)[0],
            "excess_se": float(standard_error(values - clean)),
            "ce": ce.get(name),
            "relative_ce": relative.get(name),
        }


def excess(table: pd.DataFrame) -> np.ndarray:
    """Mean error over corruptions and severities, less the clean error [1 + groups].

    Args:
        table: Rows of one network of ``corruption.parquet``.

    Raises:
        KeyError: the table has no clean images, or no corruption of NAMES.
    """
    wrong = 1 - table.pivot_table(
        index="left_out", columns=["condition", "severity"], values="accuracy"
    )
    each = [wrong[name].to_numpy().mean(axis=1) for name in NAMES if name in wrong]
    if not each or wrong.index[0] != ALL:
        raise KeyError("no corruption")
    return np.asarray(np.mean(each, axis=0) - wrong[CLEAN].to_numpy()[:, 0])
