"""Whether networks go by outlines or by surfaces, where the two are of different classes.

Source: Geirhos et al. 2019 (arXiv 1811.12231), section 2 and their repository; Naseer et al. 2021,
section 3.2. A decision is the category with the highest mean probability over the outputs that are
of it: one output a class of generated images; of photographs with ImageNet networks the WordNet ids
of 16 entry-level categories (`sixteen_categories.csv`, from the repository texture-vs-shape). Of
images whose outline and surface differ, kept are decisions that name one of the two: shape bias is
shape / (shape + texture). Chance is .5, also for a network that always answers the same: whether it
says anything is told by the cue accuracy, (shape + texture) / all, whose chance is 2 / categories.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sightlines.core.files import read_table
from sightlines.dumps.conflicts_reading import ConflictsDump
from sightlines.measures.probing import groups_of
from sightlines.stats.jackknife import ALL, leave_one_out

READS = ("conflicts",)
USES = ("seed",)
NEEDS = ("conflicts", "trained")
TABLES = {
    "shape_bias.csv": {
        "about": "Whether networks go by outlines or by surfaces, where the two differ",
        "row": "network × category of the outline × left_out",
        "columns": (
            "network",
            ("category", "text", "", "category of the outline; all: all images"),
            ("images", "int", "", "images whose outline and surface are of different categories"),
            ("shape_share", "float", "share", "answers that name the outline's category"),
            ("texture_share", "float", "share", "answers that name the surface's category"),
            ("bias", "float", "", "shape / (shape + texture); empty where neither is named"),
            (
                "class_mean",
                "float",
                "",
                "mean of the bias over categories of outlines; of all images alone",
            ),
            ("cue_accuracy", "float", "share", "answers that name either"),
            ("chance", "float", "share", "cue accuracy of guessing"),
            ("silhouettes", "float", "share", "silhouettes answered rightly; empty without any"),
            (
                "cue_match",
                "float",
                "share",
                "images of the dataset whose surface is their class's own; empty for photographs",
            ),
            "left_out",
        ),
    },
}
CATEGORIES = Path(__file__).with_name("sixteen_categories.csv")
EVERY = "all"
log = logging.getLogger(__name__)


def measure(conflicts: list[ConflictsDump], seed: int) -> dict[str, Any]:
    """Score the answers of every network.

    Args:
        conflicts: Of each network, of the same images.
        seed: Root seed, for the jackknife's groups of images.
    """
    known = wordnet_categories()
    parts = []
    for dump in conflicts:
        members = outputs_of(dump, known)
        lacking = [name for name, own in members.items() if not own]
        if lacking:
            log.warning(
                f"no shape bias of {dump.network.slug}: none of its outputs is known to be of "
                f"{', '.join(lacking[:5])}"
            )
            continue
        parts.append(table_of(dump, members, seed))
    return {"shape_bias.csv": parts}


def wordnet_categories() -> dict[str, list[str]]:
    """The 16 entry-level categories, each with the WordNet ids of its ImageNet classes."""
    table = read_table(CATEGORIES)
    return {str(name): list(own["wordnet_id"]) for name, own in table.groupby("category")}


def outputs_of(dump: ConflictsDump, known: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """The outputs of a network that are of each category; none where that is not known.

    Args:
        dump: Its answers.
        known: Category -> names of outputs that are of it, besides its own name.
    """
    if dump.is_generated:
        own = [[answer] for answer in dump.answers] or [[] for _ in dump.categories]
        return dict(zip(dump.categories, own, strict=True))
    places = {name: place for place, name in enumerate(dump.outputs)}
    found = {}
    for category in dump.categories:
        named = [places[n] for n in known.get(category, ()) if n in places]
        found[category] = named or [places[name] for name in [category] if name in places]
    return found


def decisions(logits: np.ndarray, members: Sequence[Sequence[int]]) -> np.ndarray:
    """The category of the highest mean probability of its outputs [images]; the first of equals.

    Args:
        logits: [images, outputs].
        members: Outputs of each category.
    """
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    probability = np.exp(shifted)
    probability /= probability.sum(axis=1, keepdims=True)
    means = np.stack([probability[:, list(own)].mean(axis=1) for own in members], axis=1)
    return means.argmax(axis=1)  # type: ignore[no-any-return]


def table_of(dump: ConflictsDump, members: Mapping[str, Sequence[int]], seed: int) -> pd.DataFrame:
    """Rows of one network: of all images and of each category, whole and jackknifed."""
    outputs, categories = [*members.values()], dump.categories
    shape, texture = dump.shape("conflict"), dump.texture("conflict")
    differ = shape != texture
    chosen = decisions(dump.logits("conflict"), outputs)[differ]
    shape, texture = shape[differ], texture[differ]
    groups = groups_of(len(shape), seed, "conflicts")
    counts = np.zeros((groups.max() + 1, 3, len(categories)))
    for row, hit in enumerate((chosen == shape, chosen == texture, np.ones(len(shape), bool))):
        np.add.at(counts[:, row], (groups, shape), hit)
    kept = leave_one_out(counts)
    whole = kept.sum(axis=2)
    parts = [_rows(EVERY, whole).assign(class_mean=class_mean(kept))]
    parts += [_rows(name, kept[:, :, place]) for place, name in enumerate(categories)]
    silhouettes = np.nan
    if "silhouette" in dump.subsets:
        right = decisions(dump.logits("silhouette"), outputs) == dump.shape("silhouette")
        silhouettes = float(right.mean())
    facts = {"chance": 2 / len(categories), "silhouettes": silhouettes}
    facts |= {"cue_match": dump.cue_match, **dump.network._asdict()}
    return pd.concat(parts, ignore_index=True).assign(**facts)


def _rows(category: str, counts: np.ndarray) -> pd.DataFrame:
    """One row a replicate of counts [1 + groups, (shape, texture, all)]."""
    shape, texture, images = counts.T
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = {
            "category": category,
            "images": images.astype(np.int64),
            "shape_share": shape / images,
            "texture_share": texture / images,
            "bias": shape / (shape + texture),
            "class_mean": np.nan,
            "cue_accuracy": (shape + texture) / images,
        }
    return pd.DataFrame(columns).assign(left_out=np.arange(len(counts)) + ALL)


def class_mean(counts: np.ndarray) -> np.ndarray:
    """Mean of the bias over the categories that have one [1 + groups].

    Args:
        counts: [1 + groups, (shape, texture, all), categories].
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = counts[:, 0] / (counts[:, 0] + counts[:, 1])
    known = np.isfinite(bias)
    total = np.where(known, bias, 0).sum(axis=1)
    return np.divide(total, known.sum(axis=1), out=np.full(len(total), np.nan), where=known.any(1))  # type: ignore[no-any-return]
