"""At which frequencies the smallest harmful changes lie, and how often attacks of one size succeed.

Source: Paul & Chen 2021 (energy of minimal perturbations by discrete cosine transform; attacks by
projected gradient descent). Every image's energy counts as 1, so that large
perturbations do not count for more, and images that are answered wrongly anyway are left out, whose
perturbation is 0 in the original. Of untrained networks, which are right by chance alone, the
perturbations of all images count, that change whatever is answered.
"""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.perturbations_reading import PerturbationsDump
from sightlines.measures.responding import groups_of
from sightlines.plan.networks import UNTRAINED
from sightlines.stats.jackknife import ALL, leave_one_out
from sightlines.stats.means import quotient

READS = ("perturbations",)
USES = ("seed",)
NEEDS = ("perturbation",)
TABLES = {
    "attack.csv": {
        "about": "How often attacks of one size succeed",
        "row": "network × budget × left_out",
        "columns": (
            "network",
            ("budget", "float", "", "largest change of a level from 0 to 1"),
            ("steps", "int", "", "steps of projected gradient descent"),
            ("images", "int", "images", "images answered rightly before, which are attacked"),
            ("clean_error", "float", "share", "wrong answers to all images before"),
            ("success", "float", "share", "of these images answered wrongly on some step"),
            ("by_signs", "float", "share", "the same under random signs of that size"),
            "left_out",
        ),
    },
    "perturbation.csv": {
        "about": "At which frequencies minimal perturbations lie",
        "row": "network × left_out",
        "columns": (
            "network",
            ("images", "int", "images", "images whose answer a perturbation changes"),
            (
                "norm",
                "float",
                "",
                "mean Euclidean norm of the perturbations, of levels from 0 to 1, all channels",
            ),
            (
                "low_share",
                "float",
                "share",
                "energy in the lowest eighth of both frequencies; of white noise 1/64",
            ),
            (
                "entropy",
                "float",
                "",
                "entropy of the mean energy over bands of frequency, over that of white noise",
            ),
            "left_out",
        ),
    },
    "perturbation_bands.parquet": {
        "about": "Energy of minimal perturbations by frequency",
        "row": "network × band downwards × band to the right",
        "columns": (
            "network",
            ("down", "int", "", "band of the frequency downwards, from 0, of equal widths"),
            ("right", "int", "", "band of the frequency to the right"),
            ("bands", "int", "", "how many there are either way"),
            ("energy", "float", "share", "of the energy, mean over images; all bands: 1"),
        ),
    },
}


def measure(perturbations: list[PerturbationsDump], seed: int) -> dict[str, Any]:
    """Energy by frequency, and success of attacks.

    Args:
        perturbations: Of each network.
        seed: The experiment's root seed.
    """
    known = [dump for dump in perturbations if dump.images]
    spectra = [spectrum_tables(dump, seed) for dump in known]
    return {
        "attack.csv": [attack_table(dump, seed) for dump in known],
        "perturbation.csv": [summary for summary, _ in spectra],
        "perturbation_bands.parquet": [bands for _, bands in spectra],
    }


def grouped(values: np.ndarray, counted: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Sums over the images that count, of all and with each group left out.

    Args:
        values: [images, ...].
        counted: Whether each counts.
        groups: Group of each.
    """
    parts = [values[(groups == g) & counted].sum(axis=0) for g in range(groups.max() + 1)]
    return leave_one_out(np.stack(parts).astype(np.float64))


def attack_table(dump: PerturbationsDump, seed: int) -> pd.DataFrame:
    """attack.csv of one network."""
    groups, right = groups_of(dump.images, seed), dump.right
    every = np.ones(dump.images, bool)
    attacked = grouped(right.astype(np.int64), every, groups)
    shown = grouped(every.astype(np.int64), every, groups)
    frames = []
    for place, budget in enumerate(dump.budgets):
        found = {
            name: quotient(grouped(dump.fooled(by)[:, place], right, groups), attacked)
            for name, by in (("success", "fooled"), ("by_signs", "by_signs"))
        }
        own = {"budget": budget, "steps": dump.steps, "images": attacked.astype(np.int64)}
        own |= {"clean_error": 1 - attacked / shown, "left_out": np.arange(len(attacked)) + ALL}
        frames.append(pd.DataFrame({**own, **found}))
    return pd.concat(frames, ignore_index=True).assign(**dump.network._asdict())


def spectrum_tables(dump: PerturbationsDump, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """perturbation.csv and perturbation_bands.parquet of one network."""
    groups, counted = groups_of(dump.images, seed), dump.moved
    if dump.network.fraction != UNTRAINED:
        counted = counted & dump.right
    images = grouped(np.ones(dump.images), counted, groups)
    energy = grouped(dump.energy, counted, groups)
    mean = np.asarray(quotient(energy, images[:, None, None]))
    summary = pd.DataFrame(
        {
            "images": images.astype(np.int64),
            "norm": quotient(grouped(dump.norm, counted, groups), images),
            "low_share": quotient(grouped(dump.low, counted, groups), images),
            "entropy": entropy(mean),
            "left_out": np.arange(len(images)) + ALL,
        }
    )
    down, right = (place.ravel() for place in np.indices((dump.bands, dump.bands)))
    bands = pd.DataFrame({"down": down, "right": right, "bands": dump.bands})
    bands["energy"] = mean[0].ravel()
    named = dump.network._asdict()
    return summary.assign(**named), bands.assign(**named)


def entropy(shares: np.ndarray) -> np.ndarray:
    """Entropy of shares over the last two axes, over that of equal shares; NaN where undefined.

    Args:
        shares: [..., bands, bands], which sum to 1.
    """
    terms = np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1)), 0.0)
    found = -terms.sum(axis=(-2, -1)) / np.log(shares.shape[-1] * shares.shape[-2])
    known = np.isfinite(shares).all(axis=(-2, -1))
    return np.where(known, found, np.nan)
