"""The part of the page that answers questions: maps of similarity, and what was measured by depth.

Any cell or point tells its layers, value, error and untrained control, to a pointer and to the
keyboard; networks, fraction, seed, layers and index of similarity are chosen. Observable Plot draws
(docs/decisions/page_plots.md); data reach the page as JSON in which no "<" is left.
"""

import json
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from sightlines.plan import roles
from sightlines.plan.networks import FULL, UNTRAINED, Network, as_initialised, per_cent
from sightlines.report.explore import maps, measurements, packing
from sightlines.report.explore.maps import CKA, NAMES, Pairs, by_model
from sightlines.report.explore.packing import ALL, BLOCKS, NOTHING, Numbers
from sightlines.report.explore.script import SCRIPT
from sightlines.report.explore.style import STYLE
from sightlines.report.explore.vendored import LIBRARIES, csp_hash, source
from sightlines.results import selecting

READS = ("layers.csv", "cka.parquet", "similarity_indices.parquet", *measurements.READS)
"""Tables that it reads, where the experiment has them."""

Tables = dict[str, pd.DataFrame]
Run = tuple[str, dict[str, Any], Tables]
"""An experiment: its name, its config, its tables."""


def explorer(config: dict[str, Any], tables: Tables) -> Markup:
    """The explorer of an experiment; nothing where its tables have no layers to ask about.

    Args:
        config: As the page's `render` has it: `networks`, `labels`.
        tables: By file name, those of `READS` that the experiment has.
    """
    return _markup([(str(config.get("experiment", "")), config, tables)])


def overlay(one: Run, other: Run) -> Markup:
    """The same of two experiments: maps are differences, lines are of both.

    Networks and layers are those that both have under the same names.
    """
    return _markup([one, other])


def scripts() -> list[str]:
    """The scripts that the explorer carries, in order: the libraries, then its own."""
    return [*(source(library) for library in LIBRARIES), SCRIPT]


def script_sources() -> str:
    """What the page's Content-Security-Policy must admit as `script-src`: those scripts alone."""
    return " ".join(csp_hash(script) for script in scripts())


def _markup(runs: list[Run]) -> Markup:
    data = explorer_data(runs)
    if data is None:
        return Markup("")
    tags = "".join(f"<script>{script}</script>\n" for script in scripts())
    left_out = "".join(f'<p class="note">{escape(said)}</p>\n' for said in _left_out(data["maps"]))
    return Markup(
        f"<style>{STYLE}</style>\n"
        '<noscript><p class="note">This part answers questions about single layers, and needs '
        "JavaScript, which is off. The pictures of this page and the experiment’s tables have the "
        "same numbers.</p></noscript>\n"
        f'<div id="explore-app" hidden></div>\n{left_out}'
        f'<script type="application/json" id="explore-data">{as_json(data)}</script>\n{tags}'
    )


def as_json(data: Any) -> str:
    """JSON that can stand inside of a script element: no "<", ">" or "&" is left in it."""
    text = json.dumps(
        data, sort_keys=True, allow_nan=False, ensure_ascii=True, separators=(",", ":")
    )
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def explorer_data(
    runs: list[Run], budget_bytes: int = packing.BUDGET_BYTES
) -> dict[str, Any] | None:
    """What the script draws, as JSON can hold it; None where there is nothing to draw.

    Args:
        runs: One experiment, or two to be compared.
        budget_bytes: Characters that the numbers of all maps may take.
    """
    found = [_networks(config, tables) for _, config, tables in runs]
    networks = [n for n in found[0] if all(n in others for others in found[1:])]
    layers = _shared_layers([by_model(t["layers.csv"]) for _, _, t in runs if "layers.csv" in t])
    networks = [n for n in networks if n.model in layers]
    if not networks:
        return None
    numbers, limit = Numbers(), packing.room(budget_bytes)
    made: list[dict[str, Any]] = []
    if all("cka.parquet" in tables for _, _, tables in runs):
        pairs = [Pairs(tables["cka.parquet"], ("cka", "cka_se")) for _, _, tables in runs]
        indices = runs[0][2].get("similarity_indices.parquet") if len(runs) == 1 else None
        for_indices = 0 if indices is None else min(2 * len(indices), limit // 4)
        made = maps.add_cka(pairs, networks, layers, numbers, limit - for_indices)
        if indices is not None:
            made += maps.add_indices(indices, networks, layers, numbers, limit)
    measures = _measures(runs, networks, layers)
    if not made and not measures:
        return None
    return _described(runs, networks, layers) | {
        "maps": made,
        "measures": measures,
        "numbers": numbers.text(),
        "lowest": packing.LOWEST,
        "step": packing.STEP,
    }


def _networks(config: dict[str, Any], tables: Tables) -> list[Network]:
    models = set(tables["layers.csv"]["model"]) if "layers.csv" in tables else set()
    return [network for network in selecting.networks(config) if network.model in models]


def _shared_layers(found: list[maps.Layers]) -> maps.Layers:
    """Each model's layers where all experiments have the same, by name and in order."""
    if not found:
        return {}
    first, *others = found
    return {
        model: own
        for model, own in first.items()
        if all(model in o and list(o[model]["name"]) == list(own["name"]) for o in others)
    }


def _measures(
    runs: list[Run], networks: list[Network], layers: maps.Layers
) -> list[dict[str, Any]]:
    first, *others = (measurements.measured(t, networks, layers) for _, _, t in runs)
    for more in others:
        points = {each["key"]: each["points"] for each in more}
        first = [each | {"others": points[each["key"]]} for each in first if each["key"] in points]
    return first


def _described(runs: list[Run], networks: list[Network], layers: maps.Layers) -> dict[str, Any]:
    """Networks, models and what can be chosen."""
    config = runs[0][1]
    models = roles.models(networks)
    fractions = sorted({n.fraction for n in networks}, key=per_cent, reverse=True)
    full = [roles.full_network(networks, model) for model in models]
    start = next((n for n in full if n), networks[0])
    has_skips = roles.plain_models(networks, selecting.architectures(config))
    return {
        "runs": [name for name, _, _ in runs],
        "networks": [_network(n, networks, models, config) for n in networks],
        "models": [
            {
                "label": selecting.label(config, model),
                "layers": [
                    [str(name), str(kind), int(block), round(float(depth), 4)]
                    for name, kind, block, depth in layers[model][
                        ["name", "kind", "block", "depth"]
                    ].itertuples(index=False)
                ],
                "blocks": maps.block_outputs(layers[model]).tolist(),
            }
            for model in models
        ],
        "fractions": [[f, _share(f)] for f in fractions],
        "fraction": start.fraction,
        "seed": as_initialised(start).seed,
        "first": [place for place, model in enumerate(models) if model in has_skips]
        or list(range(len(models))),
        "indices": [[key, name] for key, name in NAMES.items()],
    }


def _share(fraction: str) -> str:
    if fraction == UNTRAINED:
        return "none: untrained"
    return "all" if fraction == FULL else f"{per_cent(fraction)} %"


def _network(
    network: Network, networks: list[Network], models: list[str], config: dict[str, Any]
) -> dict[str, Any]:
    control = roles.control(networks, network.model)
    full = roles.full_network(networks, network.model)
    untrained = network.fraction == UNTRAINED
    share = "untrained" if untrained else f"{per_cent(network.fraction)} %"
    return {
        "label": f"{selecting.label(config, network.model)}, {share}, {network.seed}",
        "model": models.index(network.model),
        "fraction": network.fraction,
        "seed": network.seed,
        "control": None if untrained or control is None else networks.index(control),
        "full": None if full is None else networks.index(full),
    }


def _left_out(made: list[dict[str, Any]]) -> list[str]:
    """What of the maps did not fit on the page."""
    own = [each for each in made if each["index"] == CKA]
    parts = []
    blocks = sum(each["layers"] == BLOCKS for each in own)
    missing = sum(each["layers"] == NOTHING for each in own)
    bare = sum(each["layers"] == ALL and not each["errors"] for each in own)
    if blocks:
        parts.append(f"{blocks} are here with block outputs alone")
    if missing:
        parts.append(f"{missing} are left out")
    if bare:
        parts.append(f"{bare} lack standard errors")
    if not parts:
        return []
    return [
        f"Of {len(own)} pairs of networks {', '.join(parts)}, so that the page stays small: "
        "tables/cka.parquet has all."
    ]
