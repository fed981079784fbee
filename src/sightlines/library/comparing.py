"""What differs between two experiments' results: verdicts, accuracies, networks."""

from typing import Any

import pandas as pd

from sightlines.core.errors import ResultError
from sightlines.core.files import read_json
from sightlines.library.results import Results
from sightlines.report.explore import comparison, explorer
from sightlines.results.tables import required

KEYS = ["model", "fraction", "seed"]


def compare(one: Results, other: Results) -> dict[str, pd.DataFrame]:
    """Tables of what differs, by what they are of; empty ones where nothing does.

    Args:
        one: Results of an experiment.
        other: Of another, or of the same made by another version.
    """
    names = (one.name, other.name) if one.name != other.name else ("one", "other")
    return {
        "Verdicts that differ": _verdicts(one, other, names),
        "Test accuracy": _accuracies(one, other, names),
        "Networks of one alone": _networks(one, other, names),
    }


def page(one: Results, other: Results) -> str:
    """A page, as HTML, on which the two lie over one another: verdicts, claims, maps, lines.

    What either lacks is left out; docs/decisions/page_plots.md says what draws it.

    Args:
        one: Results of an experiment.
        other: Of another, or of the same made by another version.
    """
    names = [one.name, other.name]
    if names[0] == names[1]:
        names = [str(run.path.resolve().parents[1].name or "/") for run in (one, other)]
    if names[0] == names[1]:
        names = ["one", "other"]
    return comparison.render(_side(one, names[0]), _side(other, names[1]))


def _side(run: Results, name: str) -> comparison.Side:
    """Its tables, and its config as its report was given it; without a report, its networks.

    Tables of layers that lack columns, as those of older versions may, are left out.
    """
    tables = {t: run.table(t) for t in run.tables if t in comparison.READS}
    for name in [t for t in tables if t in explorer.READS]:
        if not set(required(name)) <= set(tables[name]):
            del tables[name]
    record = run.path / "records" / "report" / "report.json"
    config: dict[str, Any] = {"networks": run.networks}
    made_with: dict[str, str] = {}
    if record.is_file():
        known = read_json(record)
        config |= known.get("config", {})
        made_with = {"Python": str(known.get("python", "–")), "code": str(known.get("code", "–"))}
        for key in ("packages", "hardware"):
            made_with |= {str(k): str(v) for k, v in dict(known.get(key, {})).items()}
    elif "accuracy.csv" in tables:
        keys = tables["accuracy.csv"][KEYS].astype(str)
        config["networks"] = ["/".join(row) for row in keys.itertuples(index=False)]
    return comparison.Side(name, config, tables, made_with)


def _verdicts(one: Results, other: Results, names: tuple[str, str]) -> pd.DataFrame:
    try:
        tables = [run.verdicts[["verdict", "value", "low", "high"]] for run in (one, other)]
    except ResultError:
        return pd.DataFrame()
    joined = tables[0].join(tables[1], how="outer", lsuffix="_0", rsuffix="_1")
    joined = joined[joined["verdict_0"] != joined["verdict_1"]].reset_index()
    columns: dict[str, object] = {"claim": joined["claim"]}
    for place, name in enumerate(names):
        columns[name] = joined[f"verdict_{place}"]
        columns[f"value, {name}"] = joined[f"value_{place}"].map("{:.3g}".format)
    return pd.DataFrame(columns)


def _accuracies(one: Results, other: Results, names: tuple[str, str]) -> pd.DataFrame:
    try:
        tables = [run.table("accuracy")[[*KEYS, "accuracy_test"]] for run in (one, other)]
    except (ResultError, KeyError):
        return pd.DataFrame()
    joined = tables[0].merge(tables[1], on=KEYS, suffixes=("_0", "_1"))
    joined = joined[joined["accuracy_test_0"] != joined["accuracy_test_1"]]
    difference = joined["accuracy_test_1"] - joined["accuracy_test_0"]
    return pd.DataFrame(
        {
            "network": ["/".join(keys) for keys in joined[KEYS].itertuples(index=False)],
            names[0]: joined["accuracy_test_0"].map("{:.1%}".format),
            names[1]: joined["accuracy_test_1"].map("{:.1%}".format),
            "difference": difference.map("{:+.1%}".format),
        }
    )


def _networks(one: Results, other: Results, names: tuple[str, str]) -> pd.DataFrame:
    own = [set(run.networks) for run in (one, other)]
    rows = [
        {"network": network, "in": names[place]}
        for place in (0, 1)
        for network in sorted(own[place] - own[1 - place])
    ]
    return pd.DataFrame(rows, columns=["network", "in"])
