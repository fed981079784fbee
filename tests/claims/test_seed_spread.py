"""The shipped spread between seeds: what it is made of, and which networks it speaks for."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from sightlines.claims.accuracies import ahead
from sightlines.claims.claim import Source
from sightlines.claims.seed_spread import OF_ANOTHER_SIZE, SeedSpread
from sightlines.claims.seeds import with_known
from sightlines.plan import seed_spread
from sightlines.plan.experiment import Experiment
from sightlines.plan.networks import Network
from sightlines.run import seed_spread as command
from tests.claims.making_evidence import MEANS, RESNET, make_evidence, verdict, vit_layers
from tests.claims.test_fig01_to_fig04 import MIXED_TO_GLOBAL, heads
from tests.rounding import rounded

FACTS = {
    "vit": {"kind": "vit", "architecture": "small", "dataset": "shapes", "recipe": "r"},
    "large": {"kind": "vit", "architecture": "large", "dataset": "shapes", "recipe": "r"},
    "gap": {"kind": "vit gap", "architecture": "gap", "dataset": "shapes", "recipe": "r"},
    "other": {"kind": "vit", "architecture": "small", "dataset": "cifar", "recipe": "r"},
    "longer": {"kind": "vit", "architecture": "small", "dataset": "shapes", "recipe": "l"},
}
ROW = ("C7", "most local head", "vit f100", "small", "shapes", "r", 0.04, 7, 0.9, "s1 s2 s3")
TABLE = pd.DataFrame([ROW], columns=[*seed_spread.COLUMNS])


def source(*slugs):
    return Source("V", tuple((slug,) for slug in slugs), None, (1.0,))


def known(*slugs, claim="C7", criterion="most local head"):
    return SeedSpread(TABLE, FACTS).known(claim, criterion)(source(*slugs))


def test_the_same_architecture_on_the_same_images_by_the_same_recipe():
    found = known("vit/f100/s0")
    assert (found.variance, found.freedom) == (0.04, 7.0) and not found.is_shared
    assert found.told == "spread of 8 seeds of vit f100"


def test_seeds_that_the_table_is_of_count_once():
    found = known("vit/f100/s0", "vit/f100/s2")
    assert found.is_shared and not known("large/f100/s2").is_shared
    assert (found.places, found.mean) == ((1,), 0.9), "s2, not s0"
    assert with_known([1.0, 5.0], found) == (0.04, 7.0)
    apart = with_known([1.0, 5.0], known("vit/f100/s0", "vit/f100/s4"))
    assert apart == rounded(((7 * 0.04 + 8.0) / 8, 8.0), **MEANS)


def test_another_size_of_the_family_has_few_degrees_of_freedom():
    assert known("large/f100/s0").freedom == OF_ANOTHER_SIZE


@pytest.mark.parametrize("model", ["gap", "other", "longer", "imported"])
def test_other_read_outs_images_and_recipes_and_imported_networks_are_not_spoken_for(model):
    assert known(f"{model}/f100/s0") is None


def test_nor_are_other_shares_of_the_images_other_statistics_or_what_is_no_network():
    assert known("vit/f010/s0") is known("vit/f000/s0") is None
    assert known("vit/f100/s0", claim="C8") is None
    assert known("vit/f100/s0", criterion="other") is None
    assert known("A 0") is None and known("vit/f100/s0", "other/f100/s0") is None
    assert SeedSpread().known("C7", "most local head")(source("vit/f100/s0")) is None


def of_seeds(folder, count, spread=None):
    """A claim's tables of so many seeds of a ViT, whose local heads differ by seed."""
    slugs = [f"vit/{f}/s{s}" for f in ("f100", "f000") for s in range(count)]
    parts = [heads(slug, MIXED_TO_GLOBAL - 0.01 * n) for n, slug in enumerate(slugs)]
    tables = {"attention_replicates.parquet": pd.concat(parts), "layers.csv": vit_layers()}
    return make_evidence(folder, tables, slugs, {"vit": MODEL}, spread=spread)


MODEL = {"family": "vit", "pool": "cls", "depth": 6, "width": 24}


def test_the_table_has_the_variance_between_seeds_that_the_claims_statistics_have(tmp_path):
    table = command.table_of(of_seeds(tmp_path, 5), FACTS).set_index(["claim", "networks"])
    local = table[table["criterion"] == "most local head"]
    low = MIXED_TO_GLOBAL[-2:].min() - 0.01 * np.arange(5)
    row = local.loc[("C7", "vit f100")]
    assert (row["variance"], row["mean"]) == rounded((low.var(ddof=1), low.mean()), **MEANS)
    assert row["freedom"] == 4 and row["architecture"] == "small"
    assert ("C7", "vit f000") in local.index
    assert command.table_of(of_seeds(tmp_path / "few", 3), FACTS).empty


def of_accuracies(folder, count, spread=None, **others):
    """Accuracies of so many seeds on all images and on a tenth, of which the ViT's differ."""
    own = {f"{m}/{f}/s{s}": 0.6 for m in ("vit", "gap") for f in SHARES for s in range(count)}
    for seed in range(count):
        own[f"vit/f100/s{seed}"] += 0.01 * (seed % 3)
        own[f"vit/f010/s{seed}"] += 0.02 * (seed % 2) - 0.3
    own |= others
    models = {"vit": MODEL, "gap": MODEL | {"pool": "gap"}, "resnet": RESNET}
    return make_evidence(folder, {}, [*own], models, own, spread=spread)


SHARES = ("f100", "f010")


def test_it_has_the_variance_of_accuracies_and_of_what_fewer_images_cost(tmp_path):
    table = command.table_of(of_accuracies(tmp_path, 8), FACTS)
    own = table[table["claim"] == "accuracy"].set_index(["criterion", "networks"])
    more, less = 0.6 + 0.01 * (np.arange(8) % 3), 0.3 + 0.02 * (np.arange(8) % 2)
    expected = {
        ("test accuracy", "vit f100"): more,
        ("test accuracy", "vit f010"): less,
        ("difference of test accuracies", "vit f010 + vit f100"): more - less,
        ("test accuracy", "vit gap f100"): np.full(8, 0.6),
        ("test accuracy", "vit gap f010"): np.full(8, 0.6),
        ("difference of test accuracies", "vit gap f010 + vit gap f100"): np.zeros(8),
    }
    assert {*own.index} == {*expected}
    for key, values in expected.items():
        row = own.loc[key]
        found = row["variance"], row["mean"]
        assert found == rounded((values.var(ddof=1), values.mean()), **MEANS), key
        assert row["freedom"] == 7 and row["seeds"] == "s0 s1 s2 s3 s4 s5 s6 s7"


def test_networks_that_learned_too_little_are_left_out_as_verdicts_leave_them_out(tmp_path):
    made = of_accuracies(tmp_path, 8, **{"vit/f100/s3": 0.1, "vit/f000/s3": 0.1})
    evidence, poor = command.learned(made.config, made._tables)
    assert poor == ["vit/f100/s3"], "untrained networks stay"
    table = command.table_of(evidence, FACTS).set_index(["criterion", "networks"])
    row = table.loc[("test accuracy", "vit f100")]
    left = 0.6 + 0.01 * (np.delete(np.arange(8), 3) % 3)
    assert (row["variance"], row["freedom"]) == (rounded(left.var(ddof=1), **MEANS), 6)
    assert row["seeds"] == "s0 s1 s2 s4 s5 s6 s7"
    assert table.loc[("test accuracy", "vit f010")]["freedom"] == 7


@pytest.mark.parametrize(
    ("pair", "spreads"),
    [
        ("vit/f100/s0 vit/f010/s0", ("vit f010 + vit f100",)),
        ("vit/f100/s0 gap/f100/s0", ("vit f100", "vit gap f100")),
    ],
)
def test_of_one_run_accuracies_have_the_shipped_spread_before_the_widest_here(
    tmp_path, pair, spreads
):
    networks = [Network.parse(slug) for slug in pair.split()]
    table = command.table_of(of_accuracies(tmp_path / "many", 8), FACTS)
    far = {"resnet/f100/s0": 0.3, "resnet/f100/s1": 0.9}

    def found(folder, facts=FACTS):
        spread = facts and (lambda: SeedSpread(table, facts))
        return ahead(of_accuracies(tmp_path / folder, 1, spread, **far), [networks], "what it is")

    known, widest = found("known"), found("widest", None)
    told = [words.partition("spread of 8 seeds of ")[2].rstrip(")") for words in known.seeds]
    assert tuple(told) == spreads and known.is_whole
    assert all("widest spread of accuracy here, RESNET's" in words for words in widest.seeds)
    assert known.estimate.error < 0.05 < widest.estimate.error
    elsewhere = {model: own | {"dataset": "cifar"} for model, own in FACTS.items()}
    assert found("elsewhere", elsewhere).seeds == widest.seeds


@pytest.mark.whole
def test_one_run_is_judged_by_the_table_that_was_made_of_others(tmp_path):
    table = command.table_of(of_seeds(tmp_path / "many", 8), FACTS)
    alone = verdict("C7", of_seeds(tmp_path / "one", 1))
    assert alone.word == "one run"
    judged = verdict("C7", of_seeds(tmp_path / "with", 1, lambda: SeedSpread(table, FACTS)))
    assert judged.word != "one run"
    assert judged.lines[0].seeds == "1 of VIT (spread of 8 seeds of vit f100)"


def planned(tmp_path, monkeypatch, written):
    monkeypatch.setattr(seed_spread, "TABLE", tmp_path / "seed_spread.csv")
    monkeypatch.setattr(seed_spread, "ORIGIN", tmp_path / "seed_spread.json")
    experiment = Experiment.open(command.OF)
    facts = seed_spread.facts(experiment.config, experiment.job_config_claims()["architectures"])
    if written:
        TABLE.to_csv(tmp_path / "seed_spread.csv", index=False)
        own = facts[next(iter(facts))]
        fits = [[own["dataset"] + ("" if written == "ours" else "x"), own["recipe"]]]
        (tmp_path / "seed_spread.json").write_text(json.dumps({"fits": fits}))
    return experiment.job_config_claims()["seed_spread"], facts


def test_verdicts_depend_on_the_table_only_where_it_may_speak_for_a_network(tmp_path, monkeypatch):
    assert planned(tmp_path, monkeypatch, "")[0] == {}
    assert planned(tmp_path, monkeypatch, "others")[0] == {}
    found, facts = planned(tmp_path, monkeypatch, "ours")
    assert found["facts"] == facts and len(found["table"]) == 64


def test_facts_tell_recipes_and_images_apart_but_not_what_changes_no_weight():
    config = Experiment.open(command.OF).config
    architectures = {"vit_small": {"family": "vit", "pool": "cls"}}

    def own(**changed):
        model = config.models["vit_small"]
        models = {"vit_small": replace(model, train=model.train.changed(changed))}
        return seed_spread.facts(replace(config, models=models), architectures)["vit_small"]

    assert own() == own(world_size=2, evaluate_every_steps=7)
    assert own()["recipe"] != own(steps=7)["recipe"]
    other = replace(config, dataset={"kind": "shapes", "seed": 7})
    other = seed_spread.facts(other, architectures)
    assert other["vit_small"]["dataset"] != own()["dataset"]


def test_kinds():
    assert seed_spread.kind({"family": "vit", "pool": "gap"}) == "vit gap"
    lacking = {"family": "vit", "skipless_block": 1, "skipless": "both"}
    assert seed_spread.kind(lacking) == "vit without skips"
    assert seed_spread.kind({"family": "resnet"}) == "resnet"


def test_its_experiment_has_the_recipe_of_the_other_and_many_seeds(tmp_path):
    """As a file, which is read again as strictly as one that a person wrote."""
    path = tmp_path / "seed_spread.yaml"
    path.write_text(yaml.safe_dump(command.config_of(command.OF, 5), sort_keys=False))
    found, other = Experiment.open(path), Experiment.open(command.OF)
    own, others = (
        seed_spread.facts(e.config, e.job_config_claims()["architectures"]) for e in (found, other)
    )
    assert {"vit_small", "resnet"} <= set(own)
    assert all(own[model] == others[model] for model in own)
    trained = [n for n in found.networks if n.fraction != "f000"]
    assert {n.seed for n in trained} == {f"s{number}" for number in range(5)}
    assert {n.fraction for n in found.networks} >= {"f000", "f100"} and not found.tasks
    some = command.config_of(command.OF, 2, ["resnet"])
    assert [*some["models"]] == ["resnet"]


@pytest.mark.whole
def test_both_files_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(seed_spread, "TABLE", tmp_path / "seed_spread.csv")
    monkeypatch.setattr(seed_spread, "ORIGIN", tmp_path / "seed_spread.json")
    experiment = Experiment.open(command.OF)
    evidence = of_seeds(tmp_path / "tables", 5)  # of a model that the config does not have
    assert command.write(experiment, evidence, command.OF) == 0
    origin = json.loads((tmp_path / "seed_spread.json").read_text())
    assert origin["of"] == "default.yaml" and origin["fits"] and origin["versions"]["torch"]
    assert (tmp_path / "seed_spread.csv").read_text().startswith("claim,criterion,networks")
    assert experiment.job_config_claims()["seed_spread"]["table"]
