"""Synthetic tables as the measures write them, plausible enough to look at."""

import functools

import numpy as np
import pandas as pd

from sightlines.core.seeds import generator
from sightlines.plan.networks import Network, per_cent
from sightlines.results.selecting import main_models, settings
from sightlines.results.tables import required
from tests.figures import (
    attention_tables,
    condition_tables,
    frozen_tables,
    indices_tables,
    localisation_tables,
    probe_tables,
    receptive_field_tables,
    robustness_tables,
    skip_tables,
    token_tables,
    verdict_tables,
)

IMAGES = 7919
CHANCE = 0.1


DRAWN = {"terms": 20}
"""How drawn values round: means over up to 20 seeds, tokens or layers."""


def config(
    vits=("vit_small", "vit_large"),
    resnets=("resnet_thin",),
    fractions=("f000", "f003", "f030", "f100"),
    seeds=("s0", "s1"),
    pooled=(),
    mixers=(),
    skipless=(),
    fnets=(),
):
    """ViTs and ResNets on every fraction with every seed; the others untrained and on all images.

    ViTs without skips have no untrained network.
    """
    models = [*vits, *pooled, *resnets, *mixers, *skipless, *fnets]
    slugs = [f"{m}/{f}/{s}" for m in (*vits, *resnets) for f in fractions for s in seeds]
    ends = [f for f in fractions if f in ("f000", "f100")]
    slugs += [f"{m}/{f}/{seeds[0]}" for m in (*pooled, *mixers, *fnets) for f in ends]
    slugs += [f"{m}/f100/{seeds[0]}" for m in skipless]
    own = {m: _vit(place) for place, m in enumerate(vits)}
    own |= {m: _vit() | {"pool": "gap"} for m in pooled}
    own |= {m: {"family": "resnet"} for m in resnets} | {m: {"family": "mixer"} for m in mixers}
    own |= {m: _vit() | {"skipless_block": 2 + i} for i, m in enumerate(skipless)}
    own |= {m: _fnet(m) for m in fnets}
    return {
        "experiment": "synthetic",
        "networks": slugs,
        "labels": {
            m: m.replace("_", " ").replace("vit", "ViT").replace("res", "Res") for m in models
        },
        "families": {m: own[m]["family"] for m in models},
        "architectures": {m: own[m] for m in models},
    }


def _vit(place=0):
    own = {"family": "vit", "patch_px": 4, "width": 48 * (1 + place), "depth": 5, "heads": 6}
    return own | {"pool": "cls", "skipless_block": -1, "skipless": "both"}


def _fnet(name):
    """One whose mixing is the last word of its name, where that is one."""
    mixing = name.rpartition("_")[2]
    own = {"family": "fnet", "patch_px": 4, "width": 48, "depth": 4}
    own |= {"axes": "raster", "pool": "gap"}
    own |= {"mixing": mixing if mixing in ("hartley", "random", "identity") else "fourier"}
    return own | {"attention_blocks": [3] if mixing == "hybrid" else []}


def whole(fractions=("f000", "f030", "f100"), seeds=("s0",)):
    """Every architecture that a figure may ask for."""
    return config(
        fractions=fractions,
        seeds=seeds,
        pooled=("vit_gap",),
        mixers=("mixer",),
        skipless=("no_skip_2",),
        fnets=("fnet", "fnet_hartley", "fnet_random", "fnet_identity", "fnet_hybrid"),
    )


def only(config, families=("vit", "resnet", "mixer", "fnet"), has_skipless=False):
    """The config with the networks of some families, as a kind of dump has them."""
    kept = {m for m, f in config["families"].items() if f in families}
    if not has_skipless:
        kept -= {m for m in kept if settings(config, m).get("skipless_block", -1) >= 0}
    slugs = [s for s in config["networks"] if s.split("/")[0] in kept]
    return config | {"networks": slugs}


def main(config):
    """The config with the models of the main figures alone."""
    kept = main_models(config)
    return config | {"networks": [s for s in config["networks"] if s.split("/")[0] in kept]}


def layers(config, blocks=5):
    rows = []
    for place, (model, family) in enumerate(config["families"].items()):
        own = _resnet_layers(blocks) if family == "resnet" else _token_layers(family, blocks)
        if settings(config, model).get("width", 48) > 48:
            own = _token_layers(family, blocks + 2 * place)
        for i, (name, kind, block) in enumerate(own):
            depth = i / (len(own) - 1)
            rows.append((model, i, name, kind, block, depth, 11 * (i + 1)))
    columns = ["model", "layer", "name", "kind", "block", "depth", "features"]
    return pd.DataFrame(rows, columns=columns)


def _token_layers(family, blocks):
    mixing = "mixing" if family in ("mixer", "fnet") else "attn"
    kinds = {"norm1": "norm", mixing: mixing, "norm2": "norm", "mlp_hidden": "mlp_hidden"}
    kinds |= {"mlp": "mlp", "out": "residual"}
    own = [("embed.patch", "embed", -1), ("embed.pos", "embed", -1)][: 1 + (family != "mixer")]
    own += [(f"block{b:02}.{n}", k, b) for b in range(blocks) for n, k in kinds.items()]
    return [*own, ("norm", "norm", -1)]


def _resnet_layers(units):
    names = [f"{kind}{i}" for i in (1, 2, 3) for kind in ("conv", "norm")]
    own = [("stem.conv", "conv", -1), ("stem.norm", "norm", -1)]
    for u in range(units):
        own += [(f"block{u:02}.{n}", n[:4], u) for n in names]
        own += [(f"block{u:02}.proj_conv", "conv", u)] if u in (0, 2) else []
        own += [(f"block{u:02}.out", "residual", u)]
    return own


def cka(config, layers, degenerate=None):
    """All pairs a <= b, full rectangles; `degenerate` = (model, layer) has NaN when trained."""
    networks = [Network.parse(s) for s in config["networks"]]
    frames = []
    for i, a in enumerate(networks):
        for b in networks[i:]:
            frames.append(_pair(config, layers, a, b, degenerate))
    return pd.concat(frames, ignore_index=True)


def _pair(config, layers, a, b, degenerate):
    own_a, own_b = (layers[layers.model == n.model] for n in (a, b))
    x, y = own_a.depth.to_numpy()[:, None], own_b.depth.to_numpy()[None, :]
    if config["families"][a.model] != config["families"][b.model]:
        y = 0.6 * y**1.3
    width = 0.15 + 0.5 * (config["families"][a.model] == "vit")
    trained = bool(per_cent(a.fraction) and per_cent(b.fraction))
    values = np.exp(-(((x - y) / width) ** 2)) if trained else 0.95 - 0.2 * np.abs(x - y)
    off = np.array([k not in ("residual", "norm", "embed") for k in own_a.kind])
    off_b = np.array([k not in ("residual", "norm", "embed") for k in own_b.kind])
    values = values * np.where(off[:, None] != off_b[None, :], 0.6, 1.0)
    if a != b:
        values = 0.8 * values - 0.03
    for network, axis in ((a, 0), (b, 1)):
        if degenerate and network.model == degenerate[0] and trained:
            np.moveaxis(values, axis, 0)[degenerate[1]] = np.nan
    i, j = np.indices(values.shape)
    columns = dict(zip(("model_a", "fraction_a", "seed_a"), a, strict=True))
    columns |= {"layer_a": i.ravel()}
    columns |= dict(zip(("model_b", "fraction_b", "seed_b"), b, strict=True))
    columns |= {"layer_b": j.ravel(), "cka": values.ravel(), "cka_se": 0.01}
    return pd.DataFrame(columns)


def cka_shuffled(config, layers):
    frames = []
    for slug in config["networks"]:
        network = Network.parse(slug)
        count = int((layers.model == network.model).sum())
        noise = generator(3, slug).normal(0, 0.01, (count, count))
        i, j = np.indices(noise.shape)
        frame = {"model": network.model, "fraction": network.fraction, "seed": network.seed}
        frame |= {"layer_a": i.ravel(), "layer_b": j.ravel(), "cka": noise.ravel()}
        frames.append(pd.DataFrame(frame))
    return pd.concat(frames, ignore_index=True)


def cka_degenerate(rows=()):
    return pd.DataFrame(rows, columns=["model", "fraction", "seed", "layer", "name", "reason"])


def attention_distance(config, blocks=7, heads=5, uniform=16.5, prefix=True):
    rows = []
    for slug in config["networks"]:
        network = Network.parse(slug)
        if config["families"][network.model] != "vit":
            continue
        random = generator(5, slug)
        share = per_cent(network.fraction) / 100
        for block in range(blocks):
            for head in range(heads):
                local = share * (1 - block / (blocks - 1)) * head / (heads - 1)
                mean = uniform * (1.0 - 0.7 * local + 0.02 * random.normal())
                mass = 0.3 * share * block / blocks if prefix else 0.0
                first = mean * (1 - mass)
                rest = (mass, 2.0, uniform, 2560, 0.0)
                rows.append(
                    (
                        *network,
                        block,
                        head,
                        first,
                        0.9,
                        mean,
                        first / uniform,
                        mean / uniform,
                        *rest,
                    )
                )
    columns = "model fraction seed block head distance_px distance_std_px distance_renormalised_px"
    columns += " relative relative_renormalised prefix_mass entropy_nats uniform_px images"
    columns += " undefined_share"
    return pd.DataFrame(rows, columns=columns.split())


def data_fractions(config, layers):
    rows = []
    for model in config["families"]:
        depths = layers[(layers.model == model) & (layers.kind == "residual")].depth
        for slug in config["networks"]:
            n = Network.parse(slug)
            if n.model != model or (n.fraction, n.seed) == ("f100", "s0"):
                continue
            kind = {"f000": "untrained", "f100": "ceiling"}.get(n.fraction, "fraction")
            share = {"untrained": -0.4, "ceiling": 1}.get(kind, per_cent(n.fraction) / 100)
            for block, depth in enumerate(depths):
                value = 0.97 - depth * (0.7 - 0.5 * share) - 0.01 * int(n.seed[1:])
                rows.append((*n, "s0", kind, block, depth, value, 0.02))
    columns = "model fraction seed reference_seed kind block depth cka cka_se"
    return pd.DataFrame(rows, columns=columns.split())


def accuracy(config):
    rows = []
    for slug in config["networks"]:
        n = Network.parse(slug)
        share = per_cent(n.fraction) / 100
        test = CHANCE + 0.55 * share**0.4 + 0.01 * int(n.seed[1:]) if share else 0.097
        test -= 0.03 * list(config["families"]).index(n.model) * bool(share)
        steps = 1000 if share else 0
        counts = (int(IMAGES * share), steps, 100_003)
        rows.append((*n, *counts, test + 0.2, test + 0.01, test, 1.7, CHANCE, test / CHANCE, 1013))
    columns = "model fraction seed train_images steps parameters accuracy_train"
    columns += " accuracy_validation accuracy_test loss_test chance times_chance test_images"
    table = pd.DataFrame(rows, columns=columns.split())
    table = table.assign(accuracy_top5_test=table["accuracy_test"] + 0.1, ece_test=0.05)
    return table.assign(accuracy_all=np.nan, all_images=np.nan)  # of imported networks alone


def shape_bias(config, groups=8):
    """ViTs go by outlines, others by surfaces; untrained networks answer at random."""
    rows = []
    for slug in config["networks"]:
        network = Network.parse(slug)
        share = per_cent(network.fraction) / 100
        if 0 < share < 1:
            continue
        lean = 0.2 * share * (1 if config["families"][network.model] == "vit" else -1)
        for place, category in enumerate(("all", "square", "disc", "star")):
            for left_out in range(-1, groups):
                bias = 0.5 + lean + 0.02 * place + 0.004 * (-1) ** left_out * (left_out >= 0)
                cue = 0.2 + 0.6 * share
                mean = bias - 0.01 if category == "all" else np.nan
                values = (90, cue * bias, cue * (1 - bias), bias, mean, cue, 0.2, np.nan, 1.0)
                rows.append((*network, category, *values, left_out))
    return pd.DataFrame(rows, columns=list(required("shape_bias.csv")))


def history(config):
    rows = []
    for slug in config["networks"]:
        n = Network.parse(slug)
        share = per_cent(n.fraction) / 100
        for step in range(0, 10001, 500) if share else (0,):
            done = step / (step + 1500)
            for split, gap in (("train", 0.3 * (1 - share)), ("validation", -0.1 * (1 - share))):
                loss = 2.3 * (1 - 0.6 * done) - gap * done
                rows.append((*n, step, split, loss, 0.1 + (0.5 + gap) * done, 1e-3))
    columns = "model fraction seed step split loss accuracy learning_rate"
    return pd.DataFrame(rows, columns=columns.split())


def all_tables(config, degenerate=None, names=None):
    """Every table, or those of `names`, keyed by file name as the figures and the report read them.

    `degenerate` = (model, layer) has no CKA when trained.
    """
    own_layers, plain = layers(config), only(config)
    vits, with_heads = only(config, ("vit",)), only(config, ("vit", "resnet"))
    localised = functools.cache(lambda: localisation_tables.localisation_tables(plain))
    makers = {
        "layers.csv": lambda: own_layers,
        "cka.parquet": lambda: cka(config, own_layers, degenerate),
        "cka_shuffled.parquet": lambda: cka_shuffled(config, own_layers),
        "cka_degenerate.csv": cka_degenerate,
        "token_cka.parquet": lambda: token_tables.token_cka(config, own_layers),
        "attention_distance.csv": lambda: attention_distance(vits),
        "attention_replicates.parquet": lambda: verdict_tables.attention_replicates(
            attention_distance(vits)
        ),
        "tuned_attention.parquet": lambda: verdict_tables.tuned_attention(
            plain, attention_distance(vits)
        ),
        "attention_sites.csv": lambda: attention_tables.attention_sites(vits),
        "attention_offsets.parquet": lambda: attention_tables.attention_offsets(vits),
        "head_subsets.parquet": lambda: attention_tables.head_subsets(with_heads),
        "receptive_fields.parquet": lambda: receptive_field_tables.receptive_fields(main(config)),
        "receptive_field_maps.parquet": lambda: receptive_field_tables.receptive_field_maps(
            main(config)
        ),
        "shape_bias.csv": lambda: shape_bias(plain),
        "skip_ratios.parquet": lambda: skip_tables.skip_ratios(plain),
        "skip_tokens.parquet": lambda: skip_tables.skip_tokens(plain),
        "occlusion.parquet": lambda: condition_tables.occlusion(plain),
        "cutout.parquet": lambda: robustness_tables.cutout(plain),
        "corruption.parquet": lambda: robustness_tables.corruption(plain),
        "corruption_error.csv": lambda: robustness_tables.corruption_error(plain),
        "frequency.parquet": lambda: robustness_tables.frequency(plain),
        "frequency_grid.csv": lambda: robustness_tables.frequency_grid(plain),
        "texture_match.csv": lambda: robustness_tables.texture_match(plain),
        "attack.csv": lambda: robustness_tables.attack(plain),
        "perturbation.csv": lambda: robustness_tables.perturbation(plain),
        "perturbation_bands.parquet": lambda: robustness_tables.perturbation_bands(plain),
        "backgrounds.csv": lambda: robustness_tables.backgrounds(plain),
        "foreign.csv": lambda: robustness_tables.foreign(plain),
        "lesion.parquet": lambda: condition_tables.lesion(plain),
        "condition_depth.parquet": lambda: condition_tables.every_depth(plain),
        "conflict_depth.parquet": lambda: condition_tables.conflict_depth(plain),
        "conflict_lead.csv": lambda: condition_tables.conflict_lead(plain),
        "localisation.parquet": lambda: localised()["localisation.parquet"],
        "localisation_tokens.parquet": lambda: localised()["localisation_tokens.parquet"],
        "branch_places.parquet": lambda: localisation_tables.branch_places(plain),
        "localisation_maps.parquet": lambda: localised()["localisation_maps.parquet"],
        "probes.parquet": lambda: probe_tables.probes(plain, ("", *verdict_tables.TASKS)),
        "token_probes.parquet": lambda: probe_tables.token_probes(plain),
        "knn.parquet": lambda: frozen_tables.knn(plain),
        "embedding_statistics.csv": lambda: frozen_tables.embedding_statistics(vits),
        "position_similarity.parquet": lambda: frozen_tables.position_similarity(vits),
        "embedding_filters.parquet": lambda: frozen_tables.embedding_filters(vits),
        "segmentation_replicates.parquet": lambda: frozen_tables.segmentation_replicates(vits),
        "object_auc.parquet": lambda: frozen_tables.object_auc(vits),
        "attention_pictures.parquet": lambda: frozen_tables.attention_pictures(vits),
        "pictured_images.parquet": lambda: frozen_tables.pictured_images(vits),
        "similarity_indices.parquet": lambda: indices_tables.similarity_indices(config),
        "diagnostics.csv": lambda: indices_tables.layer_diagnostics(config),
        "estimator.csv": lambda: verdict_tables.estimator(config),
        "finetuning.parquet": lambda: verdict_tables.finetuning(plain),
        "tuned_accuracy.csv": lambda: verdict_tables.tuned_accuracy(plain),
        "data_fractions.csv": lambda: data_fractions(config, own_layers),
        "accuracy.csv": lambda: accuracy(config),
        "curves.csv": lambda: history(config),
        "claims.csv": verdict_tables.claims,
        "claim_cases.csv": verdict_tables.claim_cases,
        "seed_calibration.csv": verdict_tables.seed_calibration,
        "specifications.csv": verdict_tables.specifications,
    }
    return {name: makers[name]() for name in names or makers}
