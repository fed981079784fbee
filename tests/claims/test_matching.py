"""Networks of equal accuracy: which pairs are not, and what stands in for them."""

import numpy as np
import pytest

from sightlines.claims import matching
from sightlines.claims.claim import Case, exactly
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.plan.networks import Network
from tests.claims.making_evidence import RESNET, VIT, make_evidence

VITS = ["vit/f100/s0", "vit/f100/s1"]
RESNETS = [f"resnet/{f}/s0" for f in ("f003", "f010", "f030", "f100", "f000")]
MODELS = {"vit": VIT, "resnet": RESNET}
LADDER = dict(zip(RESNETS, (0.2, 0.42, 0.46, 0.6, 0.1), strict=True)) | dict.fromkeys(VITS, 0.45)


def evidence_of(folder, accuracy=LADDER, slugs=(*VITS, *RESNETS), images=10_000):
    evidence = make_evidence(folder, {}, list(slugs), MODELS, accuracy)
    evidence.table("accuracy.csv")["test_images"] = images
    return evidence


def read(evidence, vit, resnet):
    return [exactly(evidence.accuracy(resnet)[0] - evidence.accuracy(vit)[0])]


def unread(evidence, vit, resnet):
    raise NotMeasured(f"no table has {resnet.slug}")


def chosen(evidence, *slugs):
    found = matching.matched(evidence, [Network.parse(slug) for slug in slugs])
    return found and [network.slug for network in found]


def test_the_better_network_is_replaced_by_its_like_on_fewer_images(tmp_path):
    """By the closest; the poorest stays, and so does who is as good."""
    evidence = evidence_of(tmp_path)
    assert chosen(evidence, VITS[0], "resnet/f100/s0") == [VITS[0], "resnet/f030/s0"]
    assert chosen(evidence, "resnet/f100/s0", VITS[0]) == ["resnet/f030/s0", VITS[0]]
    assert chosen(evidence, VITS[0], "resnet/f030/s0") == [VITS[0], "resnet/f030/s0"]


@pytest.mark.parametrize(
    ("accuracy", "images", "expected"),
    [
        (LADDER | {"resnet/f030/s0": 0.49, "resnet/f010/s0": 0.41}, 10_000, None),
        (LADDER | {"resnet/f100/s0": 0.479}, 10_000, [VITS[0], "resnet/f100/s0"]),
        (LADDER | {"resnet/f100/s0": 0.5}, 100, [VITS[0], "resnet/f100/s0"]),
        (LADDER | {"resnet/f100/s0": float("nan")}, 10_000, [VITS[0], "resnet/f100/s0"]),
        (dict.fromkeys(LADDER, float("nan")), 10_000, [VITS[0], "resnet/f100/s0"]),
    ],
    ids=["none is close", "within three points", "not clearly apart", "not known", "none known"],
)
def test_there_may_be_none_or_no_need(tmp_path, accuracy, images, expected):
    evidence = evidence_of(tmp_path, accuracy, images=images)
    assert chosen(evidence, VITS[0], "resnet/f100/s0") == expected


def test_a_second_case_is_of_equal_accuracy_and_has_the_first_one_s_control(tmp_path):
    groups, nearer = [("vit", "resnet")], LADDER | {"resnet/f100/s0": 0.53}
    evidence = evidence_of(tmp_path, nearer)
    first = Case("VIT × RESNET", [], [[exactly(1.0)]], [exactly(9.0)])
    cases = matching.with_matched(evidence, [first], groups, read)
    assert cases[0] is first and len(cases) == 2
    assert cases[1].label == "VIT × RESNET with 30 % of the images, equally accurate"
    assert cases[1].networks == [VITS[0], "resnet/f030/s0", VITS[1]]
    assert abs(cases[1].readings[0][0].value - 0.01) < 1e-9
    assert cases[1].control == first.control
    assert matching.with_matched(evidence, [first], groups, unread) == [first]
    equal = evidence_of(tmp_path / "equal", LADDER | {"resnet/f100/s0": 0.45})
    assert matching.with_matched(equal, [first], groups, read) == [first]


def test_a_second_case_is_of_every_seed_that_was_measured(tmp_path):
    """Its seeds are told from other networks', so that they have a spread."""
    slugs, groups = [*VITS, *RESNETS, "resnet/f030/s1"], [("vit", "resnet")]
    accuracy = LADDER | {"resnet/f030/s1": 0.48, VITS[1]: 0.46}
    evidence = evidence_of(tmp_path, accuracy, slugs)

    def of_first_vit(evidence, vit, resnet):
        if vit.seed != "s0":
            raise NotMeasured("not compared")
        return read(evidence, vit, resnet)

    (case,) = matching.with_matched(evidence, [], groups, read)
    assert case.networks == ["vit/f100/s0", "resnet/f030/s0", "vit/f100/s1", "resnet/f030/s1"]
    assert [r[0].value for r in case.readings] == pytest.approx([0.01, 0.02])
    units = {source.label: source.units for source in case.sources}
    assert units == {
        "VIT": (("vit/f100/s0",), ("vit/f100/s1",)),
        "RESNET": (("resnet/f030/s0",), ("resnet/f030/s1",)),
    }
    (alone,) = matching.with_matched(evidence, [], groups, of_first_vit)
    assert alone.networks == ["vit/f100/s0", "resnet/f030/s0"] and alone.missing == ()


def test_accuracies_are_those_of_all_seeds(tmp_path):
    evidence = evidence_of(tmp_path, LADDER | {VITS[0]: 0.59, VITS[1]: 0.33})
    assert chosen(evidence, VITS[0], "resnet/f100/s0") == [VITS[0], "resnet/f030/s0"]
    pair = [Network.parse(slug) for slug in (VITS[0], "resnet/f100/s0")]
    assert matching.are_equal(evidence, pair) is False


@pytest.mark.parametrize(
    ("resnet", "images", "expected"),
    [
        (0.45, 10_000, True),
        (0.45, 500, None),
        (0.47, 10_000, None),
        (0.53, 10_000, False),
        (float("nan"), 10, True),
    ],
)
def test_equal_is_what_is_shown_to_be(tmp_path, resnet, images, expected):
    evidence = evidence_of(tmp_path, LADDER | {"resnet/f100/s0": resnet}, images=images)
    pair = [Network.parse(slug) for slug in (VITS[0], "resnet/f100/s0")]
    assert matching.are_equal(evidence, pair) is expected


def test_a_gap_of_eight_points_is_not_taken_for_equality_with_500_images(tmp_path):
    """Simulated: by what is not shown to be more, 59 % were."""
    evidence = evidence_of(tmp_path, slugs=["vit/f100/s0", "resnet/f100/s0"], images=500)
    pair = [Network.parse(slug) for slug in ("vit/f100/s0", "resnet/f100/s0")]
    table, random, taken = evidence.table("accuracy.csv"), np.random.default_rng(0), 0
    for _ in range(200):
        table["accuracy_test"] = random.binomial(500, [0.5, 0.58]) / 500
        drawn = Evidence(evidence.config, {"accuracy.csv": table})
        taken += matching.are_equal(drawn, pair) is True
    assert taken == 0


def test_what_is_neither_equal_nor_apart_is_said(tmp_path):
    evidence = evidence_of(tmp_path, LADDER | {"resnet/f100/s0": 0.54}, images=200)
    premise = matching.comparable(matching.pairs, read)
    assert premise.unmet(evidence) == ""
    told = "comparable accuracy not shown, to 10 points: VIT (45.0%), RESNET (54.0%)"
    assert premise.caveat(evidence) == told
    many = evidence_of(tmp_path / "many", LADDER | {"resnet/f100/s0": 0.54}, images=20_000)
    assert premise.caveat(many) == ""
    (case,) = matching.with_matched(evidence_of(tmp_path / "b"), [], [("vit", "resnet")], read)
    assert case.label.endswith("equally accurate")
    few = evidence_of(tmp_path / "few", LADDER | {"resnet/f100/s0": 0.8}, images=500)
    (case,) = matching.with_matched(few, [], [("vit", "resnet")], read)
    assert case.label.endswith("30 % of the images, comparable accuracy not shown")


def test_of_networks_that_cannot_be_compared_the_second_case_alone_is_judged(tmp_path):
    evidence, groups = evidence_of(tmp_path), [("vit", "resnet")]
    first, other = (Case(label, [], [[exactly(1.0)]]) for label in ("VIT × RESNET", "other"))
    cases = matching.with_matched(evidence, [first, other], groups, read)
    expected = ["other", "VIT × RESNET with 30 % of the images, equally accurate"]
    assert [case.label for case in cases] == expected
    unmatched = matching.with_matched(evidence, [first, other], groups, unread)
    assert unmatched == [first, other], "the premise has their claim out of reach"


@pytest.mark.parametrize(
    ("changes", "reading", "words"),
    [
        ({}, read, ""),
        ({"resnet/f100/s0": 0.46}, unread, ""),
        ({}, unread, "with 30 % of the images (46.0%) are not, but no table has resnet/f030/s0"),
        (
            {"resnet/f030/s0": 0.55, "resnet/f010/s0": 0.2},
            read,
            "VIT (45.0%), RESNET (60.0%) are more than 10 points of accuracy apart: needs RESNET "
            "on a fraction of the images",
        ),
        (dict.fromkeys(VITS, 0.9), read, "needs VIT on a fraction"),
        ({"resnet/f100/s0": 0.54}, unread, ""),
    ],
)
def test_the_premise_says_what_would_meet_it(tmp_path, changes, reading, words):
    evidence = evidence_of(tmp_path, LADDER | changes)
    evidence.table("accuracy.csv")["test_images"] = 10_000
    unmet = matching.comparable(matching.pairs, reading).unmet(evidence)
    assert (words in unmet) if words else unmet == ""


def test_of_three_networks_all_that_are_ahead_are_replaced(tmp_path):
    slugs = [*VITS[:1], *RESNETS, "mixer/f100/s0", "mixer/f010/s0"]
    models = MODELS | {"mixer": {"family": "mixer"}}
    accuracy = LADDER | {"mixer/f100/s0": 0.7, "mixer/f010/s0": 0.44}
    evidence = make_evidence(tmp_path, {}, slugs, models, accuracy)
    evidence.table("accuracy.csv")["test_images"] = 10_000
    networks = matching.first(evidence, ["mixer", "vit", "resnet"])
    found = [n.slug for n in matching.matched(evidence, networks)]
    assert found == ["mixer/f010/s0", "vit/f100/s0", "resnet/f030/s0"]
