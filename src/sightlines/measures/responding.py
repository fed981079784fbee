"""What answers to changed images come to: accuracy kept, likelihood, correlation of features.

For every condition, of all images and with each of 20 groups left out, so that every difference of
conditions or of networks has its paired interval.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from sightlines.core import seeds
from sightlines.dumps.responses_reading import ResponsesDump
from sightlines.plan.networks import Network
from sightlines.stats.jackknife import ALL, leave_one_out
from sightlines.stats.means import quotient

CLEAN = "clean"
GROUPS = 20
"""Groups of images of the jackknife."""
TIMES_CHANCE = 3
"""Accuracy on clean images below which nothing can be said to be kept of it, over chance."""
MEANS = ("log_p", "margin", "confidence")


def response_tables(dumps: Sequence[ResponsesDump], seed: int) -> Iterator[pd.DataFrame]:
    """One frame a network, with the columns of the shared word ``response``.

    Args:
        dumps: Of each network, of the same images.
        seed: The experiment's root seed.
    """
    for dump in dumps:
        yield response_table(dump, groups_of(dump.images, seed))


def groups_of(images: int, seed: int) -> Int[np.ndarray, " images"]:
    """Group of each image, the same for every network and every family of conditions."""
    order = seeds.generator(seed, "response groups").permutation(images)
    return order % min(GROUPS, images)


def response_table(dump: ResponsesDump, groups: Int[np.ndarray, " images"]) -> pd.DataFrame:
    """Statistics of one network, a row a condition and replicate.

    Args:
        dump: Its answers.
        groups: Group of each image.
    """
    found = statistics(dump, groups)
    conditions = [(CLEAN, 0.0), *dump.conditions]
    replicates = len(found["images"])
    frame = pd.DataFrame(
        {
            "condition": np.tile([name for name, _ in conditions], replicates),
            "severity": np.tile([severity for _, severity in conditions], replicates),
            "left_out": np.repeat(np.arange(replicates) + ALL, len(conditions)),
            **{name: values.ravel() for name, values in found.items()},
        }
    )
    return frame.assign(chance=dump.chance, **_named(dump.network))


def statistics(dump: ResponsesDump, groups: Int[np.ndarray, " images"]) -> dict[str, np.ndarray]:
    """Name -> [1 + groups, 1 + conditions]: of all images, then with each group left out."""
    count = int(groups.max()) + 1

    def mean(values: np.ndarray) -> np.ndarray:
        known = np.isfinite(values)
        sums, images = (
            leave_one_out(np.stack([part[groups == g].sum(axis=0) for g in range(count)]))
            for part in (np.where(known, values, 0.0), known.astype(np.float64))
        )
        return np.asarray(quotient(sums, images))

    cells = (dump.images, 1 + len(dump.conditions))
    unknown = np.full((1 + count, cells[1]), np.nan)
    found = dict.fromkeys(
        ("accuracy", "accuracy_among", "above_chance", "retention", "agreement", *MEANS), unknown
    )
    if len(dump.answers):
        taken = dump.values("prediction")
        found["accuracy"] = mean(dump.is_right().astype(np.float64))
        among = dump.values("among") == dump.labels[:, None]
        found["accuracy_among"] = mean(among.astype(np.float64))
        found["above_chance"] = (found["accuracy"] - dump.chance) / (1 - dump.chance)
        found["retention"] = retention(found["accuracy"], dump.chance)
        found["agreement"] = mean((taken == taken[:, :1]).astype(np.float64))
        found |= {name: mean(dump.values(name).astype(np.float64)) for name in MEANS}
    for place, suffix in (("last", ""), ("normed", "_normed")):
        known = place in dump.places
        r = mean(dump.values(f"correlation.{place}").astype(np.float64)) if known else unknown
        floor = (
            np.broadcast_to(dump.floor(place)[:, None], cells) if known else np.full(cells, np.nan)
        )
        base = mean(floor.astype(np.float64))
        found[f"correlation{suffix}"] = r
        found[f"excess{suffix}"] = (r - base) / (1 - base)
        if not suffix:
            found["floor"] = base
    found["changed_share"] = mean(dump.values("changed").astype(np.float64))
    found["change_rms"] = mean(dump.values("rms").astype(np.float64))
    sizes = leave_one_out(np.bincount(groups).astype(np.float64))
    found["images"] = np.repeat(sizes.astype(np.int64)[:, None], cells[1], axis=1)
    return found


def retention(accuracy: np.ndarray, chance: float) -> np.ndarray:
    """Accuracy above chance over that on clean images, which are the first column.

    Args:
        accuracy: [replicates, 1 + conditions].
        chance: Accuracy of guessing.

    Returns:
        The same shape; NaN where the clean images' accuracy is below TIMES_CHANCE times chance:
        what is hardly there cannot be kept.
    """
    if not accuracy[0, 0] >= TIMES_CHANCE * chance:
        return np.full(accuracy.shape, np.nan)
    return np.asarray((accuracy - chance) / (accuracy[:, :1] - chance))


def _named(network: Network) -> dict[str, str]:
    return dict(zip(Network._fields, network, strict=True))
