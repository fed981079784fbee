"""Which networks and which cells of the tables a figure or the report shows. No matplotlib here.

Which network plays which role is decided in `sightlines.plan.roles`, for figures and all others.
"""

from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
import pandas as pd

from sightlines.core.errors import ResultError
from sightlines.plan import roles
from sightlines.plan.architectures import PRETRAINING
from sightlines.plan.networks import FULL, Network

Tables = dict[str, pd.DataFrame]
SHARE = 0.25
"""Of what the best network reaches above chance, which a network must reach to have learned."""


def networks(config: dict[str, Any]) -> list[Network]:
    """The experiment's networks, in the config's order."""
    return [Network.parse(slug) for slug in config["networks"]]


def models(config: dict[str, Any]) -> list[str]:
    """Models in the config's order, each once."""
    return roles.models(networks(config))


def label(config: dict[str, Any], model: str) -> str:
    """The model's name for readers."""
    return str(config.get("labels", {}).get(model, model))


def full_network(config: dict[str, Any], model: str) -> Network | None:
    """The model's full network (see `roles`); None where there is none."""
    return roles.full_network(networks(config), model)


def untrained_network(config: dict[str, Any], model: str) -> Network | None:
    """The model's untrained control (see `roles`); None where there is none."""
    return roles.control(networks(config), model)


def controls(config: dict[str, Any], model: str) -> list[Network]:
    """The model's untrained controls, the one that figures show first (see `roles`)."""
    return roles.controls(networks(config), model)


def other_seeds(config: dict[str, Any], network: Network) -> list[Network]:
    """Networks that differ from one in their seed alone."""
    return roles.other_seeds(networks(config), network)


def less_data(config: dict[str, Any], model: str) -> list[Network]:
    """A model's networks on smaller fractions, first seeds, from few images to many."""
    own = networks(config)
    return [roles.on(own, model, fraction)[0] for fraction in roles.less_data(own, model)]


def trained_models(config: dict[str, Any]) -> list[str]:
    """Models with a network that is trained on all images.

    Raises:
        ResultError: there is none, so there is nothing to draw.
    """
    return _some(roles.trained_models(networks(config)))


def architectures(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The models' architectures as the config has them; empty where they are not told."""
    families: dict[str, str] = config.get("families", {})
    known: dict[str, dict[str, Any]] = config.get("architectures", {})
    return {m: {"family": families.get(m, "")} | known.get(m, {}) for m in {**families, **known}}


def settings(config: dict[str, Any], model: str) -> dict[str, Any]:
    """The model's architecture as the config has it; empty where it is not told."""
    return dict(config.get("architectures", {}).get(model, {}))


def without_labels(config: dict[str, Any], model: str) -> bool:
    """Whether a model's weights were learned without labels, so that it has no accuracy."""
    return bool(settings(config, model).get(PRETRAINING, "supervised") != "supervised")


def plain_models(config: dict[str, Any]) -> list[str]:
    """Models trained on all images whose blocks have all their skips.

    Raises:
        ResultError: there is none.
    """
    return _some(roles.plain_models(networks(config), architectures(config)))


def main_models(config: dict[str, Any]) -> list[str]:
    """Models of the paper's main figures: see `roles.main_models`.

    Raises:
        ResultError: no model with all its skips is trained on all images.
    """
    return _some(roles.main_models(networks(config), architectures(config)))


def shown_models(config: dict[str, Any]) -> list[str]:
    """Models of Figure 1: see `roles.shown_models`.

    Raises:
        ResultError: no model with all its skips is trained on all images.
    """
    return _some(roles.shown_models(networks(config), architectures(config)))


def pairs_across(config: dict[str, Any]) -> list[tuple[str, str]]:
    """Pairs of models of Figure 2, one upwards and one to the right: see `roles.pairs_across`."""
    return roles.pairs_across(networks(config), architectures(config))


def mixer_pairs(config: dict[str, Any]) -> list[tuple[str, str]]:
    """Pairs of models of Figure H, one upwards and one to the right: see `roles.mixer_pairs`."""
    return roles.mixer_pairs(networks(config), architectures(config))


def _some(models: list[str]) -> list[str]:
    require_some(models, "none of the networks is trained on all images (f100), with all its skips")
    return models


def require_some(found: Sized, lacking: str) -> None:
    """Stop drawing where there is nothing to draw.

    Args:
        found: What a figure would show.
        lacking: What is missing where it is empty.

    Raises:
        ResultError: it is empty.
    """
    if not len(found):
        raise ResultError(
            f"{lacking}. Add what this figure needs to `runs` (its NEEDS), or leave it out of "
            "`figures`"
        )


def needed_accuracy(chance: float, best: float) -> float:
    """The accuracy below which a network has learned too little.

    A quarter of what the experiment's best network reaches above chance, or of half of the way
    from chance to 1 where that network reaches less: so that neither many outputs, of which three
    times chance is nothing, nor a run in which nothing was learned makes it easy.

    Args:
        chance: Of the network's task.
        best: Test accuracy of the best network (`best_accuracy`); NaN where none is known.
    """
    reach = max(best - chance, (1 - chance) / 2) if best == best else (1 - chance) / 2
    return chance + SHARE * reach


def best_accuracy(accuracy: pd.DataFrame) -> float:
    """Largest test accuracy of a network on all images; NaN where none is known."""
    return float(accuracy.loc[accuracy["fraction"] == FULL, "accuracy_test"].max())


def rows_of(table: pd.DataFrame, network: Network, suffix: str = "") -> pd.DataFrame:
    """The rows of one network; `suffix` is ``_a`` or ``_b`` in tables of pairs."""
    for key, value in zip(("model", "fraction", "seed"), network, strict=True):
        table = table[table[key + suffix] == value]
    return table


def own_rows(table: pd.DataFrame, network: Network | None) -> pd.DataFrame:
    """The rows of one network; none where there is no such network."""
    return table.iloc[:0] if network is None else rows_of(table, network)


def layer_rows(layers: pd.DataFrame, model: str) -> pd.DataFrame:
    """One model's layers in order, checked to be numbered 0, 1, 2, ….

    Raises:
        ResultError: the table lacks the model, or its numbers have gaps.
    """
    own = layers[layers["model"] == model].sort_values("layer", ignore_index=True)
    if own.empty or not (own["layer"] == own.index).all():
        raise ResultError(
            f"layers.csv does not list the layers of {model} as 0, 1, 2, …: "
            "delete it and run snakemake again to rebuild it"
        )
    return own


def block_outputs(layers: pd.DataFrame, model: str) -> np.ndarray:
    """Indices of the layers that are block outputs (the residual stream) [blocks]."""
    own = layer_rows(layers, model)
    return own.loc[own["kind"] == "residual", "layer"].to_numpy()


def cka_matrix(
    cka: pd.DataFrame, layers: pd.DataFrame, a: Network, b: Network
) -> np.ndarray | None:
    """CKA of all layers of `a` with all of `b` [layers_a, layers_b]; NaN where undefined.

    The table holds each pair of networks in one order only; the other is its transpose.
    None where it holds neither.
    """
    pair = rows_of(rows_of(cka, a, "_a"), b, "_b")
    if pair.empty and a != b:
        mirrored = rows_of(rows_of(cka, b, "_a"), a, "_b")
        names = {"layer_a": "layer_b", "layer_b": "layer_a"}
        pair = mirrored[["layer_a", "layer_b", "cka"]].rename(columns=names)
    if pair.empty:
        return None
    matrix = np.full((len(layer_rows(layers, a.model)), len(layer_rows(layers, b.model))), np.nan)
    matrix[pair["layer_a"].to_numpy(), pair["layer_b"].to_numpy()] = pair["cka"].to_numpy()
    return matrix


def extreme_blocks(blocks: Sequence[int], each: int = 2) -> tuple[list[int], list[int]]:
    """The `each` lowest and the `each` highest blocks, none in both."""
    ordered = sorted(set(blocks))
    low = ordered[: min(each, (len(ordered) + 1) // 2)]
    return low, [b for b in ordered[-each:] if b not in low]
