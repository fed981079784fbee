"""Networks of equal accuracy: which pairs are not, and what stands in for them."""

import pytest

from sightlines.claims import matching
from sightlines.claims.claim import Case, exactly
from sightlines.claims.evidence import NotMeasured
from sightlines.plan.networks import Network
from tests.claims.making_evidence import RESNET, VIT, make_evidence

VITS = ["vit/f100/s0", "vit/f100/s1"]
RESNETS = [f"resnet/{f}/s0" for f in ("f003", "f010", "f030", "f100", "f000")]
MODELS = {"vit": VIT, "resnet": RESNET}
LADDER = dict(zip(RESNETS, (0.2, 0.42, 0.46, 0.6, 0.1), strict=True)) | {"vit/f100/s0": 0.45}


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
    assert cases[1].networks == [VITS[0], "resnet/f030/s0"]
    assert abs(cases[1].readings[0][0].value - 0.01) < 1e-9
    assert cases[1].control == first.control
    assert matching.with_matched(evidence, [first], groups, unread) == [first]
    equal = evidence_of(tmp_path / "equal", LADDER | {"resnet/f100/s0": 0.45})
    assert matching.with_matched(equal, [first], groups, read) == [first]


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
        ({"vit/f100/s0": 0.9}, read, "needs VIT on a fraction"),
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
