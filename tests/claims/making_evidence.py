"""Small made-up results in which the answer to a claim is known."""

import functools

import numpy as np
import pandas as pd

from sightlines.claims import judge as judging
from sightlines.claims.evidence import Evidence
from sightlines.claims.seeds import Prior
from sightlines.claims.verdict import judge
from sightlines.core.files import TensorWriter, write_table
from sightlines.plan.networks import Network, per_cent
from sightlines.results.opening import Opened
from sightlines.results.tables import required
from sightlines.stats import half_samples

KNN = "knn_replicates.parquet"
GROUPS = 4
"""Groups of images of every jackknife; `replicates` have an interval of ± 5.5 spread."""
MEANS = {"terms": 40 * 40, "size": 1}
"""How values of claims round: at most means over a map of 40 layers, of similarities up to 1."""
CHANCE = 0.1
VIT = {"family": "vit", "pool": "cls", "depth": 6, "width": 24}
GAP = VIT | {"pool": "gap"}
RESNET = {"family": "resnet", "units": [2, 2, 2]}
MODELS = {"vit": VIT, "resnet": RESNET}
SLUGS = ["vit/f100/s0", "resnet/f100/s0", "vit/f000/s0", "resnet/f000/s0"]
TRAINED = SLUGS[:2]


class SeedsAgree:
    """That the networks of a made-up world do not depend on their seed, as a table would say it."""

    def known(self, claim, criterion):
        return lambda source: Prior(0.0, 1000.0, "made up")


def make_evidence(
    folder, tables, slugs=SLUGS, models=MODELS, accuracy=None, sizes=None, spread=SeedsAgree
):
    """Evidence of tables by name: data frames, or {"<slug>|<slug>": [1 + GROUPS, a, b]} of CKA.

    Args:
        folder: Where the files are written.
        tables: Columns that they lack are filled with 0.
        slugs: The networks.
        models: Their architectures.
        accuracy: Test accuracies by slug; others are .6, .5 on fewer images, and .1 untrained.
        sizes: Parameters by model.
        spread: Makes what is known of the spread between seeds; None: nothing.
    """
    tables = {"accuracy.csv": accuracy_table(slugs, accuracy or {}, sizes or {})} | tables
    tables = halves_that_agree(tables) | tables
    paths = {}
    for name, table in tables.items():
        paths[name] = folder / name
        if name.endswith(".safetensors"):
            write_maps(paths[name], table)
        else:
            write_table(paths[name], filled(table, name))
    config = {
        "networks": slugs,
        "labels": {model: model.upper() for model in models},
        "families": {model: own["family"] for model, own in models.items()},
        "architectures": models,
        "tasks": {},
        "figures": [],
    }
    return Evidence(config, Opened(paths.values()), spread and spread())


def accuracy_table(slugs, accuracy, sizes):
    rows = []
    for slug in slugs:
        own = Network.parse(slug)
        usual = {0: CHANCE, 100: 0.6}.get(per_cent(own.fraction), 0.5)
        test = accuracy.get(slug, usual)
        counts = {"parameters": sizes.get(own.model, 1000), "test_images": 1000}
        rows.append(own._asdict() | {"accuracy_test": test, "chance": CHANCE} | counts)
    return pd.DataFrame(rows)


required_once = functools.cache(required)


def filled(table, name):
    columns = required_once(name)
    return table.assign(**{c: 0 for c in columns if c not in table})[list(columns)]


def write_maps(path, maps):
    shapes = {name: ("F32", values.shape) for name, values in maps.items()}
    with TensorWriter(path, shapes, {"groups": GROUPS}) as writer:
        for name, values in maps.items():
            writer.write(name, np.asarray(values, np.float32))


def replicates(values, spread=0.0):
    """[1 + GROUPS, ...]: the values, then alternately more and less by `spread`."""
    values = np.asarray(values, np.float64)
    signs = np.array([0, *(1 if group % 2 else -1 for group in range(GROUPS))])
    return values + spread * signs.reshape(-1, *[1] * values.ndim)


def with_replicates(rows, column, spread=0.0):
    """Rows (dictionaries) once for all images and once for each group left out."""
    frames = []
    for row in rows:
        values = replicates(row[column], spread)
        frames += [row | {column: v, "left_out": i - 1} for i, v in enumerate(values)]
    return pd.DataFrame(frames)


def halves_that_agree(tables):
    """Tables of halves, all as accurate as all images, for those of replicates."""
    return {
        name.replace("replicates", "halves"): with_halves(table[table["left_out"] == -1])
        for name, table in tables.items()
        if name in ("probe_replicates.parquet", "token_probe_replicates.parquet", KNN)
    }


def with_halves(rows, spread=0.0):
    """Rows (a frame) once a half, in every pair the first above and the other below by `spread`."""
    pairs = range(half_samples.PAIRS)
    frames = [
        rows.assign(accuracy=rows["accuracy"] + sign * spread, pair=pair, half=half)
        for pair in pairs
        for half, sign in enumerate((1, -1))
    ]
    return pd.concat(frames)


def of(slug):
    """The columns that name a network."""
    return Network.parse(slug)._asdict()


def vit_layers(blocks=6, model="vit"):
    kinds = ("norm", "attn", "norm", "mlp_hidden", "mlp", "residual")
    own = [("embed", -1), ("embed", -1), *((k, b) for b in range(blocks) for k in kinds)]
    return _layers(model, [*own, ("norm", -1)])


def resnet_layers(units=6, model="resnet", stage=2):
    own = [("stem.conv", -1)]
    for unit in range(units):
        own += [("proj_conv", unit)] if unit % stage == 0 else []
        own += [("conv", unit), ("norm", unit), ("residual", unit)]
    return _layers(model, own)


def _layers(model, own):
    columns = {"model": model, "layer": range(len(own)), "kind": [kind for kind, _ in own]}
    columns |= {"block": [block for _, block in own]}
    columns |= {"name": [f"block{block:02}.{kind}" for kind, block in own]}
    return pd.DataFrame(columns | {"depth": np.linspace(0, 1, len(own))})


@functools.cache
def claim(identity):
    return next(c for c in judging.all_claims() if c.id == identity)


def verdict(identity, evidence):
    return judge(claim(identity), evidence)


def values(verdict):
    """Mean values of all criteria of the first case."""
    return [line.value for line in verdict.lines[: len(verdict.claim.criteria)]]


def check_words(folder, identity, tables, has_control=True, **more):
    """Check that each word, and learning too little, is given where it is due.

    Args:
        folder: For the tables.
        identity: The claim.
        tables: From (trained, untrained, wide) to tables in which trained and untrained networks
            do or do not show what is claimed, the trained ones with wide intervals or without.
        has_control: Whether untrained networks are read.
        more: Arguments of `make_evidence`.
    """

    def word(trained=True, untrained=False, wide=False, **other):
        made = tables(trained, untrained, wide)
        return verdict(identity, make_evidence(folder, made, **{**more, **other})).word

    assert word() == ("holds, learned" if has_control else "holds")
    assert word(trained=False) == "does not hold"
    assert word(trained=False, untrained=True) in ("does not hold", "lost in training")
    assert word(wide=True) == "undecided"
    assert word(spread=None) == "one run"
    poor = dict.fromkeys(more.get("slugs", SLUGS), CHANCE)
    assert word(accuracy=poor) == "out of reach"
    assert word(untrained=True) == ("holds at initialisation" if has_control else "holds")
    assert verdict(identity, make_evidence(folder, {}, **more)).word == "not run"
