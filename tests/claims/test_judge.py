"""All claims together: what they declare, their order, robustness checks, tables of verdicts."""

from dataclasses import replace

import numpy as np
import pytest

from sightlines.claims.cases import each, each_pair
from sightlines.claims.claim import Case, exactly
from sightlines.claims.evidence import NotMeasured
from sightlines.claims.judge import INDICES, all_claims, case_table, claim_table
from sightlines.claims.verdict import Verdict, judge
from sightlines.plan import registry
from sightlines.results.tables import required
from tests.claims.making_evidence import RESNET, SLUGS, TRAINED, VIT, claim, make_evidence
from tests.rounding import rounded

CLAIMS = all_claims()


@pytest.mark.parametrize("own", CLAIMS, ids=lambda own: own.id)
def test_every_claim_says_all_about_itself(own):
    texts = (own.figure, own.statement, own.statistic, own.reason, own.paper_value, own.controls)
    assert all(texts) and own.criteria
    assert own.statement.endswith(".") and own.tier in ("A", "A/B", "B", "C")
    assert own.drawn in registry.members("figures")
    assert own.source in ("[text]", "[fig]", "[other]", "[table]", "[code]", "[notes]", "[none]")
    assert all(criterion.direction in (">=", "<=") for criterion in own.criteria)


def test_claims_are_in_the_papers_order_and_none_is_missing():
    found = [own.id for own in CLAIMS]
    numbered = [f"C{number}" for number in range(1, 33)]
    extra = {"C5": "C5b", "C6": "C6b", "C16": "C16b", "C17": "C17b", "C20": "C20b", "C30": "C30b"}
    expected = [one for n in numbered for one in (n, extra.get(n)) if one] + ["C33", "V1", "V2"]
    assert [one for one in found if one in expected] == expected
    assert len(set(found)) == len(found)


def test_claims_about_similarity_have_robustness_checks():
    having = {own.id for own in CLAIMS if own.robustness_check}
    assert having >= {"C1", "C2", "C3", "C4", "C5", "C11", "C17", "C17b", "C19", "C22"}
    assert having >= {"C26", "C27", "C31", "C32"}


def test_every_table_that_claims_read_is_known():
    for name in registry.members("claims"):
        reads = registry.declarations("claims", name)["READS"]
        assert "accuracy.csv" in reads, name
        assert all(required(r) for r in reads if not r.endswith(".safetensors")), name


def made(opinion):
    return replace(claim("C4"), robustness_check=opinion)


def stands_under(tmp_path, opinion, word="holds"):
    evidence = make_evidence(tmp_path, {})
    table = claim_table([Verdict(made(opinion), word, "")], evidence)
    return table["stands_under"].item()


def test_robustness_checks_are_listed_by_whether_the_claim_stands(tmp_path):
    def opinion(_, index):
        if index == "neighbours":
            raise NotMeasured("not here")
        return index in ("linear", "rbf")

    found = stands_under(tmp_path, opinion)
    assert found == "linear, rbf; not under deconfounded, without_top, procrustes"
    assert stands_under(tmp_path, lambda *_: True) == ", ".join(INDICES)
    assert stands_under(tmp_path, lambda *_: False) == f"not under {', '.join(INDICES)}"
    assert stands_under(tmp_path, opinion, "not run") == ""
    assert stands_under(tmp_path, None) == ""

    def nothing(*_):
        raise NotMeasured("no such pair")

    assert stands_under(tmp_path, nothing) == "no index available"


def test_what_a_claim_depends_on_is_told_beside_its_verdict(tmp_path):
    evidence = make_evidence(tmp_path, {})
    own, other = made(None), replace(made(lambda _, index: index != "rbf"), id="C31")
    verdicts = [Verdict(c, "reproduced", "so") for c in (own, other)]
    table = claim_table(verdicts, evidence, {"C4": "depends on the seed (s1): holds in 1 of 2"})
    assert table["depends_on"].tolist() == [
        "depends on the seed (s1): holds in 1 of 2",
        "depends on the index of similarity (rbf)",
    ]
    alone = replace(other, robustness_check=lambda _, index: index == "rbf")
    (said,) = claim_table([Verdict(alone, "reproduced", "")], evidence)["depends_on"]
    assert said == "depends on the index of similarity (rbf)", "the one that linear CKA is not"
    absent = claim_table([Verdict(own, "not run", "")], evidence, {"C4": "depends"})
    assert absent["depends_on"].tolist() == [""]
    agreed = replace(other, robustness_check=lambda *_: True)
    assert claim_table([Verdict(agreed, "reproduced", "")], evidence)["depends_on"].item() == ""


def test_tables_of_verdicts(tmp_path):
    evidence = make_evidence(tmp_path, {})
    evidence.config["figures"] = ["fig02_cka_across"]
    untrained = [exactly(value) for value in (0.2, 0.2, np.nan, 0.0)]
    trained = [exactly(value) for value in (0.1, 0.7, 1.0, 0.1)]
    cases = [Case("A", ["vit/f100/s0"], [trained], untrained)]
    own = replace(claim("C4"), cases=lambda _: cases, robustness_check=None)
    absent = judge(claim("C6"), evidence)
    verdicts = [judge(own, evidence), absent]
    table, lines = claim_table(verdicts, evidence), case_table(verdicts)
    assert set(required("claims.csv")) <= set(table) and list(lines) == list(
        required("claim_cases.csv")
    )
    first, second = table.to_dict("records")
    assert first["verdict"] == "does not hold" and first["value"] == 0.7
    assert first["deciding"] == "A: median match of the upper half"
    assert first["drawn"] == "fig02_cka_across" and second["drawn"] == ""
    assert second["verdict"] == "not run" and np.isnan(second["value"])
    assert lines["outcome"].tolist() == ["holds", "fails", "holds", "holds"]
    assert lines["control_passes"].tolist() == [True, True, False, False]


def test_what_is_out_of_reach_makes_no_other_verdict_look_safer(tmp_path):
    evidence = make_evidence(tmp_path, {})

    def q(word):
        others = [Verdict(claim("C5"), word, "", p=1e-9) for _ in range(5)]
        table = claim_table([Verdict(claim("C4"), "holds", "", p=0.01), *others], evidence)
        assert table.loc[1:, ["p", "q"]].isna().all(axis=None) == (word == "out of reach")
        return table["q"][0]

    harmonic = sum(1 / rank for rank in range(1, 7))
    assert q("holds") == rounded(0.01 * harmonic, terms=9)
    assert q("out of reach") == rounded(0.01 * 6 * harmonic, terms=9)


def reading(evidence, *networks):
    """1 for each network, but the table has nothing for s1 of the ViT and the untrained ResNet."""
    if any(n.slug in ("vit/f100/s1", "resnet/f000/s0") for n in networks):
        raise NotMeasured(f"nothing for {networks[0].slug}")
    return [exactly(float(len(networks)))]


def test_cases_leave_out_seeds_and_controls_that_are_not_measured(tmp_path):
    slugs = [*SLUGS, "vit/f100/s1", "vit/f100/s2"]
    evidence = make_evidence(tmp_path, {}, slugs)
    (alone,) = each(evidence, ["vit"], reading)
    assert alone.networks == ["vit/f100/s0", "vit/f100/s2"] and alone.control == [exactly(1.0)]
    (pair,) = each_pair(evidence, ["vit"], ["resnet"], reading)
    assert pair.label == "VIT × RESNET" and pair.control is None
    assert pair.networks == ["vit/f100/s0", "resnet/f100/s0", "vit/f100/s2"]
    assert pair.readings == [[exactly(2.0)]] * 2
    assert alone.missing == pair.missing == ("nothing for vit/f100/s1",)


def test_every_seed_of_every_model_is_read(tmp_path):
    slugs = ["vit/f100/s0", "resnet/f100/s0", "resnet/f100/s1", "resnet/f100/s2"]
    seen = []

    def read(_, *networks):
        seen.append([n.slug for n in networks])
        return [exactly(1.0)]

    each_pair(make_evidence(tmp_path, {}, slugs), ["vit"], ["resnet"], read)
    assert seen == [["vit/f100/s0", f"resnet/f100/s{seed}"] for seed in range(3)]


def test_models_of_which_nothing_is_measured_are_left_out_unless_they_are_all(tmp_path):
    models = {"vit": VIT, "other": VIT, "resnet": RESNET}
    evidence = make_evidence(tmp_path, {}, ["vit/f100/s1", "other/f100/s0"], models)
    (other,) = each(evidence, ["vit", "other"], reading)
    assert other.label == "OTHER" and other.missing == ("nothing for vit/f100/s1",)
    with pytest.raises(NotMeasured, match="nothing for vit/f100/s1"):
        each(evidence, ["vit"], reading)
    with pytest.raises(NotMeasured):
        each(evidence, [], reading)


def test_controls_that_are_undefined_throughout_are_none(tmp_path):
    evidence = make_evidence(tmp_path, {}, [*TRAINED, "vit/f000/s0"])

    def read(_, network):
        return [exactly(1.0), exactly(np.nan if network.fraction == "f000" else 1.0)]

    (half,) = each(evidence, ["vit"], read)
    assert half.control[0] == exactly(1.0) and np.isnan(half.control[1].value)
    (none,) = each(evidence, ["vit"], lambda *networks: read(*networks)[1:])
    assert none.control is None
    (without,) = each(evidence, ["resnet"], read)
    assert without.control is None
