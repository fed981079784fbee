"""Tables of a synthetic experiment, and a page around its explorer."""

import pandas as pd

from sightlines.plan.networks import Network
from sightlines.report.explore import explorer
from sightlines.report.explore.comparison import CSS
from sightlines.report.explore.packing import STEP
from tests.claims.making_evidence import with_halves
from tests.figures import tables as synthetic
from tests.report.synthetic_records import HOSTILE

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>explorer</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'; script-src {sources}"><link rel="icon" href="data:,">
<style>{css}</style></head><body><main><h1>Explorer</h1>{body}</main></body></html>"""


def experiment(name="synthetic", seed=0.0):
    """Config and tables; `seed` moves every value of CKA."""
    config = synthetic.config(vits=("vit_small",), fractions=("f000", "f100")) | {
        "experiment": name
    }
    of_probes = ("probe_replicates.parquet", "probe_halves.parquet")
    names = [n for n in explorer.READS if n not in of_probes]
    tables = synthetic.all_tables(config, degenerate=("vit_small", 7), names=names)
    probes = synthetic.all_tables(config, names=("probes.parquet",))["probes.parquet"]
    whole = probes[probes["shots"] == 0]
    tables |= dict(zip(of_probes, (_left_out(whole), with_halves(whole, 0.01)), strict=True))
    tables["diagnostics.csv"] = _diagnostics(config, tables["layers.csv"])
    cka = tables["cka.parquet"]
    tables["cka.parquet"] = cka.assign(cka=cka["cka"] * (1 - seed))
    return config, tables


def hostile(config, tables):
    """The same with markup in every text that the explorer shows."""
    config = config | {
        "experiment": HOSTILE,
        "labels": {model: f"{HOSTILE}{model}" for model in config["families"]},
    }
    renamed = {}
    for name, table in tables.items():
        own = table.copy()
        if "name" in own:
            own["name"] = own["name"] + f"</script>{HOSTILE}"
        if "kind" in own and name == "layers.csv":
            own["kind"] = own["kind"].where(own["kind"] == "residual", own["kind"] + HOSTILE)
        renamed[name] = own
    return config, renamed


def page(body):
    """A page that carries an explorer as the results page does."""
    return PAGE.format(sources=explorer.script_sources(), css=CSS, body=body)


def as_the_table(shown, value):
    """Whether a number of the page is the table's, to the page's four decimals."""
    return abs(shown - value) <= 0.5001 * STEP


def cell(tables, a, b, layer_a, layer_b):
    """The row of cka.parquet of two layers."""
    table = tables["cka.parquet"]
    for key, value in zip(("model", "fraction", "seed"), Network.parse(a), strict=True):
        table = table[table[f"{key}_a"] == value]
    for key, value in zip(("model", "fraction", "seed"), Network.parse(b), strict=True):
        table = table[table[f"{key}_b"] == value]
    return table[(table["layer_a"] == layer_a) & (table["layer_b"] == layer_b)].iloc[0]


def _left_out(table):
    """The same once more for each of four groups, a little apart."""
    parts = [table.assign(left_out=-1)]
    for group in range(4):
        parts.append(table.assign(left_out=group, accuracy=table["accuracy"] + 0.001 * group))
    return pd.concat(parts, ignore_index=True)


def _diagnostics(config, layers):
    """Of every layer of every network, each with a value of its own."""
    parts = []
    for place, slug in enumerate(config["networks"]):
        model, fraction, seed = slug.split("/")
        own = layers[layers["model"] == model].assign(fraction=fraction, seed=seed)
        own["top_share"] = 0.1 + 0.011 * own["layer"] + 0.0007 * place
        parts.append(own.assign(effective_dimensions=1 / own["top_share"]))
    return pd.concat(parts, ignore_index=True)
