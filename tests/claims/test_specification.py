"""Every way of computing a claim: where each takes its numbers, and what is said of them."""

from dataclasses import asdict, fields, replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from sightlines.claims.evidence import Evidence
from sightlines.claims.judge import all_claims
from sightlines.claims.specification import (
    ALL,
    BLOCKS,
    EVERY,
    LINEAR,
    NAMES,
    SPATIAL,
    Choice,
    dependences,
    similarity,
    specification_table,
    ways_of_similarity,
)
from sightlines.claims.specified import SPECIFIED, from_several_draws
from sightlines.claims.verdict import judge
from sightlines.core.files import TensorReader, TensorWriter
from sightlines.plan.networks import Network
from tests.claims.making_evidence import (
    GAP,
    GROUPS,
    RESNET,
    VIT,
    make_evidence,
    resnet_layers,
    vit_layers,
)
from tests.claims.test_fig11_to_fig13 import probes, tokens
from tests.rounding import rounded

LAYERS = pd.concat([vit_layers(), resnet_layers()])
SIZES = {"vit": len(vit_layers()), "resnet": len(resnet_layers()), "cut": len(vit_layers())}
MODELS = {"vit": VIT, "resnet": RESNET, "cut": VIT | {"skipless_block": 3}, "gap": GAP}
SLUGS = ["vit/f100/s0", "resnet/f100/s0", "vit/f100/s1", "cut/f100/s0"]
INDEX, SMALL = "rbf", 16
STORED = {"terms": 40 * 40, "size": 1, "dtype": np.float32}


def random_maps(seed, a, b, count=1 + GROUPS):
    """A map and its replicates, which differ a little."""
    rng = np.random.Generator(np.random.Philox(seed))
    whole = rng.uniform(0.1, 0.9, (a, b))
    maps = whole + 0.02 * rng.standard_normal((count, a, b))
    return (maps + maps.transpose(0, 2, 1)) / 2 if a == b else maps


def similarity_tables():
    layers = [LAYERS, vit_layers(model="cut")]
    pairs = [(s, s) for s in SLUGS] + [(v, SLUGS[1]) for v in (SLUGS[0], SLUGS[2])]

    def maps(start, prefix="", blocks=0, which=pairs):
        found = {}
        for place, (a, b) in enumerate(which):
            size = [blocks or SIZES[s.split("/")[0]] for s in (a, b)]
            found[f"{prefix}{a}|{b}"] = random_maps(start + place, *size)
        return found

    first = [pair for pair in pairs if "s1" not in pair[0]]
    vits = [pair for pair in pairs if pair[0].startswith("vit")]
    indices = maps(100, f"{INDEX}|", 6, first)
    indices |= {
        f"{INDEX}|{SLUGS[0]}|branches": random_maps(150, 5, 1)[..., 0],
    }
    return {
        "layers.csv": pd.concat(layers),
        "cka_replicates.safetensors": maps(0),
        "token_cka_replicates.safetensors": maps(200, "spatial|", 0, vits),
        "index_replicates.safetensors": indices,
        "smaller_minibatches.safetensors": maps(300, f"{SMALL}|", 0, first),
    }


def with_images(folder, images=64):
    """The file of smaller minibatches says how many images the reference ones have."""
    path = folder / "smaller_minibatches.safetensors"
    reader = TensorReader(path)
    tensors = {name: np.array(reader[name]) for name in reader.names()}
    shapes = {name: ("F32", values.shape) for name, values in tensors.items()}
    with TensorWriter(path, shapes, {"groups": GROUPS, "images": images}) as writer:
        for name, values in tensors.items():
            writer.write(name, values)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evidence")
    found = make_evidence(folder, similarity_tables(), SLUGS, MODELS)
    with_images(folder)
    return found


def test_each_choice_takes_its_own_map(evidence):
    vit, resnet = (Network.parse(slug) for slug in SLUGS[:2])
    whole = Choice(LINEAR, ALL, EVERY, "64 images")
    blocks = evidence.blocks("vit")
    linear = similarity(evidence, whole, vit, vit)
    assert np.array_equal(linear, evidence.cka(vit, vit))
    some = similarity(evidence, replace(whole, layers=BLOCKS), vit, vit)
    assert np.array_equal(some, linear[:, blocks][:, :, blocks])
    spatial = replace(whole, tokens=SPATIAL)
    apart = evidence.token_cka("spatial", vit, resnet)
    assert np.array_equal(similarity(evidence, spatial, vit, resnet), apart)
    assert np.array_equal(similarity(evidence, spatial, resnet, vit), apart.transpose(0, 2, 1))
    kept = similarity(evidence, spatial, resnet, resnet)
    assert np.array_equal(kept, evidence.cka(resnet, resnet)), "maps have no class token"
    small = similarity(evidence, replace(whole, minibatch=f"{SMALL} images"), resnet, vit)
    assert np.array_equal(small, evidence.smaller_cka(SMALL, vit, resnet).transpose(0, 2, 1))
    other = similarity(evidence, Choice(INDEX, BLOCKS, EVERY, "64 images"), resnet, vit)
    assert np.array_equal(other, evidence.index_cka(INDEX, vit, resnet).transpose(0, 2, 1))
    assert len({x.tobytes() for x in (linear, some, apart, kept, small, other)}) == 6


def test_ways_are_varied_one_choice_at_a_time_but_for_layers(evidence):
    found = ways_of_similarity(evidence)
    assert found[0] == Choice(LINEAR, ALL, EVERY, "64 images") and len(set(found)) == len(found)
    linear = [way for way in found if way.index == LINEAR]
    assert [(w.tokens, w.layers, w.minibatch) for w in linear] == [
        *((tokens, layers, "64 images") for tokens in (EVERY, SPATIAL) for layers in (ALL, BLOCKS)),
        *((EVERY, layers, f"{SMALL} images") for layers in (ALL, BLOCKS)),
    ]
    assert {w.layers for w in found if w.index != LINEAR} == {BLOCKS}


def test_the_claims_own_way_gives_what_the_claim_is_judged_by(evidence):
    """Statistics are written down once for claims and once for their other ways."""
    table = specification_table(evidence, SPECIFIED)
    claims = {claim.id: claim for claim in all_claims()}
    own = table[(table["index"] == LINEAR) & (table["tokens"] == EVERY)]
    own = own[(own["minibatch"] == "64 images") & (own["seed"] == "s0")]
    judged = {"C1": 2, "C2": 4, "C3": 1, "C4": 3, "C5": 1, "C17": 2}
    assert set(table["claim"]) == set(judged)
    for claim, count in judged.items():
        case = claims[claim].cases(evidence)[0]
        expected = [(r.value, r.low, r.high) for r in case.readings[0][:count]]
        rows = own[own["claim"] == claim]
        if claim in ("C1", "C2"):  # of which both sets of layers are criteria
            rows = rows.sort_values("criterion", kind="stable")
        else:
            rows = rows[rows["layers"] != BLOCKS]
        found = rows[["value", "low", "high"]].to_numpy()
        assert found == rounded(expected, **STORED), claim


def test_seeds_and_indices_that_were_not_measured_are_left_out(evidence):
    table = specification_table(evidence, SPECIFIED)
    of_first = table[table["claim"] == "C1"]
    assert len(of_first) == 2 * 4 + 2 + 1, "linear of two seeds, smaller minibatches, one index"
    second = of_first[of_first["seed"] == "s1"]
    assert set(second["index"]) == {LINEAR} and set(second["minibatch"]) == {"64 images"}
    assert set(table.loc[table["claim"] == "C17", "tokens"]) == {EVERY}
    nothing = Evidence(evidence.config, {})
    assert specification_table(nothing, SPECIFIED).empty and dependences(pd.DataFrame()) == {}


# -- probes ---------------------------------------------------------------------------------------

DRAWN = [0.1, 0.13, 0.05]
"""What each draw of few images adds to the class token's accuracy."""
TRIO = ["vit/f100/s0", "gap/f100/s0", "resnet/f100/s0"]


def probe_tables():
    curves = {
        ("vit", "cls"): 0.6,
        ("vit", "all"): 0.5,
        ("gap", "mean"): 0.62,
        ("gap", "first"): 0.4,
    }
    few, every, own, own_few = [], [], [], []
    for (model, pool), end in curves.items():
        slug = f"{model}/f100/s0"
        every.append(probes(slug, [0.2, 0.3, end], pool, wide=True))
        for draw, more in enumerate(DRAWN):
            curve = [0.1, 0.2, end - 0.2 + more * (model == "vit")]
            few.append(probes(slug, curve, pool, wide=True).assign(draw=draw, shots=10))
    for slug in TRIO:
        own.append(tokens(slug, [0.5]))
        own_few += [tokens(slug, [0.3 + d]).assign(draw=i, shots=10) for i, d in enumerate(DRAWN)]
    return {
        "probe_replicates.parquet": pd.concat(every),
        "few_shot_replicates.parquet": pd.concat(few),
        "token_probe_replicates.parquet": pd.concat(own),
        "few_shot_token_replicates.parquet": pd.concat(own_few),
    }


def test_probes_on_few_images_are_read_as_those_on_all(tmp_path):
    found = make_evidence(tmp_path, probe_tables(), TRIO, MODELS)
    table = specification_table(found, SPECIFIED)
    parity = table[table["claim"] == "C24"]
    assert parity["probes"].tolist() == ["all images"] * 2 + ["10 a class"] * 2
    own = judge(next(c for c in all_claims() if c.id == "C24"), found).lines[0]
    first, few = parity.iloc[0], parity.iloc[2]
    assert (first["value"], first["low"], first["high"]) == (own.value, own.low, own.high)
    assert few["value"] == rounded(0.6 - 0.62 + np.mean(DRAWN), terms=9, size=1)
    assert {"C23", "C24", "C25"} <= set(table["claim"])


def test_an_interval_over_draws_and_test_images():
    rng = np.random.Generator(np.random.Philox(5))
    values = rng.uniform(0.4, 0.6, (3, 1)) + 0.01 * rng.standard_normal((3, 21))
    found, mean = from_several_draws(values), values.mean(axis=0)
    images = 19 / 20 * np.square(mean[1:] - mean[1:].mean()).sum()
    draws = np.square(values[:, 0] - mean[0]).sum() / 2 / 3
    freedom = (images + draws) ** 2 / (images**2 / 19 + draws**2 / 2)
    half = student.ppf(0.975, freedom) * np.sqrt(images + draws)
    expected = [mean[0], mean[0] - half, mean[0] + half]
    assert [found.value, found.low, found.high] == rounded(expected, terms=60, size=1)
    assert 2 < freedom < 10, "few draws decide"
    alone = from_several_draws(values[:1])
    assert np.isnan([alone.low, alone.high]).all(), "one draw says nothing of others"


# -- words ----------------------------------------------------------------------------------------


def ways(*rows):
    """Rows of (index, layers, seed, outcome), of two criteria where the outcome is a pair."""
    found = []
    for index, layers, seed, outcomes in rows:
        each = (outcomes,) if isinstance(outcomes, str) else outcomes
        for place, outcome in enumerate(each):
            choice = asdict(Choice(index, layers, EVERY, "64 images", "", seed))
            found.append({"claim": "C1", "case": "A", "criterion": str(place)} | choice)
            found[-1]["outcome"] = outcome
    return pd.DataFrame(found)


def test_what_turns_an_outcome_around_is_named():
    table = ways(
        ("linear", ALL, "s0", "holds"),
        ("linear", BLOCKS, "s0", "holds"),
        ("rbf", BLOCKS, "s0", "fails"),
        ("neighbours", BLOCKS, "s0", "holds"),
        ("linear", ALL, "s1", "fails"),
        ("linear", BLOCKS, "s1", "fails"),
    )
    words = "depends on the index of similarity (rbf) and the seed (s1)"
    assert dependences(table) == {"C1": f"{words}: holds in 3 of 6 ways of computing it"}


def test_an_interval_that_covers_what_is_needed_turns_nothing_around():
    table = ways(
        ("linear", ALL, "s0", ("holds", "holds")),
        ("linear", BLOCKS, "s0", ("unclear", "holds")),
    )
    assert dependences(table) == {"C1": "holds in 1 of 2 ways of computing it"}


def test_only_ways_that_are_alike_but_for_one_choice_are_held_against_each_other():
    """An index that is of block outputs is not blamed for what block outputs do."""
    table = ways(
        ("linear", ALL, "s0", "holds"),
        ("linear", BLOCKS, "s0", "fails"),
        ("rbf", BLOCKS, "s0", "fails"),
    )
    words = f"depends on which layers are compared ({BLOCKS})"
    assert dependences(table)["C1"].startswith(f"{words}:")
    assert list(NAMES) == [f.name for f in fields(Choice)]
