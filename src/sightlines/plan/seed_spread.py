"""Which networks the shipped spread between seeds speaks for, and where it lies.

`claims/seed_spread.csv` has a row for each claim, criterion and kind of networks: the variance
between seeds with its degrees of freedom. Rows of the claim ``accuracy`` are for premises.
`claims/seed_spread.json` says where it is from: config, seeds, dataset, recipe, versions. Without
these files nothing is known from elsewhere.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sightlines.core.files import read_json, sha256
from sightlines.plan import registry
from sightlines.plan.architectures import is_imported, lacks_skips
from sightlines.plan.dataset_settings import as_made

if TYPE_CHECKING:
    from sightlines.plan.config_types import Config

TABLE = registry.PACKAGE / "claims" / "seed_spread.csv"
COLUMNS = (
    *("claim", "criterion", "networks", "architecture", "dataset", "recipe"),
    *("variance", "freedom", "mean", "seeds"),
)
"""Of the table. `networks`: kinds and shares of the training images, such as ``vit f100``;
`architecture`, `dataset`, `recipe`: digests of these, as `facts` gives them; `seeds`: their names,
with blanks between them."""
ORIGIN = TABLE.with_suffix(".json")
"""Where the table is from; `fits`: pairs of a dataset's and a recipe's digest it may speak for."""
NO_RECIPE = ("processes", "evaluate_every_steps")
"""Keys of `train` that change no weight of a network."""


def facts(config: "Config", architectures: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What decides which rows speak for a model's networks.

    Args:
        config: The whole, checked config.
        architectures: Settings of the models of the runs, as claims know them.

    Returns:
        By model that is trained here: `kind`, and digests of `architecture`, `dataset`, `recipe`.
    """
    found = {}
    for model, settings in architectures.items():
        own = config.models[model]
        if is_imported(own.settings):
            continue
        recipe = {k: v for k, v in own.train.recorded().items() if k not in NO_RECIPE}
        found[model] = {
            "kind": kind(settings),
            "architecture": digest({k: v for k, v in settings.items() if k != "label"}),
            "dataset": digest(as_made(config.dataset)),
            "recipe": digest(recipe),
        }
    return found


def kind(settings: Mapping[str, Any]) -> str:
    """Family of a model, with how it is read out and whether it lacks skips."""
    pool = "" if settings.get("pool", "cls") == "cls" else f" {settings['pool']}"
    skips = " without skips" if lacks_skips(dict(settings)) else ""
    return f"{settings['family']}{pool}{skips}"


def digest(value: Any) -> str:
    """Of settings, whatever their order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def fitting(known: Mapping[str, Mapping[str, str]]) -> str:
    """Digest of the shipped table, where it may speak for one of some models; else empty.

    Args:
        known: What `facts` says of the models.
    """
    if not (TABLE.is_file() and ORIGIN.is_file()):
        return ""
    ours = [[own["dataset"], own["recipe"]] for own in known.values()]
    return sha256(TABLE) if any(pair in ours for pair in read_json(ORIGIN)["fits"]) else ""
