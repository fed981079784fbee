"""Which network plays which role, and that figures, claims and dumps mean the same one."""

import pytest

from sightlines.models import foreign_facts
from sightlines.plan import roles
from sightlines.plan.networks import Network, as_initialised, is_on, switched_on

VIT = {"family": "vit", "pool": "cls", "width": 24, "skipless_block": -1, "skipless": "both"}
GAP = VIT | {"pool": "gap"}
BARE = VIT | {"skipless_block": 1}
RESNET = {"family": "resnet", "units": [2, 2]}
MIXER = {"family": "mixer", "width": 24}
KNOWN = {"vit": VIT, "gap": GAP, "bare": BARE, "resnet": RESNET, "mixer": MIXER}


def networks(*slugs):
    return [Network.parse(slug) for slug in slugs]


def on_all(*models):
    return networks(*(f"{m}/f100/s0" for m in models))


def slugs(found):
    return [n.slug for n in found]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (["m/f000/s1", "m/f100/s0", "m/f000/s0"], "m/f000/s0"),
        (["m/f000/s0", "m/f000/s1", "m/f100/s1", "m/f100/s0"], "m/f000/s1"),
        (["m/f000/s2", "m/f000/s1", "m/f100/s0"], "m/f000/s2"),
        (["m/f000/s1", "m/f000/s0"], "m/f000/s1"),
        (["other/f000/s0", "m/f100/s0"], None),
    ],
)
def test_the_control_has_the_seed_of_the_full_network_if_any_has(own, expected):
    found = roles.control(networks(*own), "m")
    assert (found and found.slug) == expected


def test_controls_are_the_switched_on_networks_where_there_are_some():
    own = networks("m/f000/s0", "m/f100/s1", "m/f000/s0_on", "m/f000/s1_on", "v/f000/s0")
    assert slugs(roles.controls(own, "m")) == ["m/f000/s1_on", "m/f000/s0_on"]
    assert roles.control(own, "m").slug == "m/f000/s1_on"
    assert slugs(roles.on(own, "m", "f000"))[-1] == "m/f000/s0", "where training starts"
    assert slugs(roles.further_controls(own)) == ["m/f000/s0_on"]
    assert slugs(roles.first_seeds(own)) == ["m/f100/s1", "m/f000/s1_on", "v/f000/s0"]
    assert slugs(roles.chosen("all", own, KNOWN)) == slugs(own)
    assert "m/f000/s0" not in slugs(roles.chosen("compared", own, KNOWN))
    assert roles.controls(own, "nobody") == []


def test_a_switched_on_network_and_its_start_name_each_other():
    start = Network("m", "f000", "s3")
    on = switched_on(start)
    assert on.slug == "m/f000/s3_on" and is_on(on) and not is_on(start)
    assert as_initialised(on) == as_initialised(start) == start and switched_on(on) == on


def test_networks_of_one_model():
    own = networks("m/f000/s1", "m/f030/s0", "m/f100/s1", "m/f010/s1", "m/f100/s0", "m/f000/s0")
    assert roles.models([*own, *on_all("vit")]) == ["m", "vit"]
    assert roles.full_network(own, "m").slug == "m/f100/s1"
    assert slugs(roles.on(own, "m", "f100")) == ["m/f100/s1", "m/f100/s0"]
    assert roles.less_data(own, "m") == ["f010", "f030"]
    assert slugs(roles.other_seeds(own, Network("m", "f100", "s1"))) == ["m/f100/s0"]
    like = Network("other", "f010", "s0")
    assert roles.same_seed(own, "m", like).slug == "m/f100/s0"
    assert roles.same_seed(own, "m", like._replace(seed="s9")).slug == "m/f100/s1"
    assert roles.same_seed(own, "other", like) is None


def test_first_seeds_have_the_control_of_the_full_network():
    own = networks("m/f000/s0", "m/f000/s1", "m/f100/s1", "m/f100/s0", "m/f010/s0", "m/f010/s1")
    assert slugs(roles.first_seeds(own)) == ["m/f000/s1", "m/f100/s1", "m/f010/s0"]


def test_models_by_role():
    own = [*on_all(*KNOWN), Network("untrained", "f000", "s0")]
    assert roles.trained_models(own) == list(KNOWN)
    assert roles.plain_models(own, KNOWN) == ["vit", "gap", "resnet", "mixer"]
    assert roles.main_models(own, KNOWN) == ["vit", "resnet"]
    assert roles.main_models(on_all("gap", "mixer", "bare"), KNOWN) == ["gap"]
    assert roles.main_models(on_all("mixer", "bare"), KNOWN) == ["mixer"]
    assert roles.main_models(on_all("bare"), KNOWN) == []
    assert roles.of_kind(own, KNOWN, "vit", "cls") == ["vit"]
    assert roles.of_kind(own, KNOWN, "vit") == ["vit", "gap"]
    assert roles.class_token_first(["gap", "vit", "bare"], KNOWN) == ["vit"]
    assert roles.class_token_first(["gap", "bare"], KNOWN) == ["gap"]
    assert roles.skipless_pairs(own, KNOWN) == [("bare", "vit")]
    assert roles.skipless_pairs(on_all("bare", "resnet"), KNOWN) == []
    assert roles.pooled_pairs(own, KNOWN) == [("vit", "gap")]
    assert roles.pooled_pairs(on_all("vit"), KNOWN) == []


FNET = {"family": "fnet", "pool": "gap", "mixing": "fourier", "attention_blocks": []}
FNETS = {
    "hybrid": FNET | {"attention_blocks": [1]},
    "hartley": FNET | {"mixing": "hartley"},
    "fnet": FNET,
    "post": FNET | {"norm": "post"},
}
BESIDE = KNOWN | FNETS | {"large": VIT, "wide": RESNET, "mixer_large": MIXER}


def test_one_mixer_and_one_fnet_stand_behind_the_main_models():
    own = on_all("mixer", *FNETS, "vit", "large", "gap", "bare", "wide", "resnet", "mixer_large")
    assert roles.fourier_model(own, BESIDE) == "fnet"
    assert roles.main_models(own, BESIDE) == ["vit", "large", "wide", "resnet"]
    assert roles.shown_models(own, BESIDE) == ["vit", "large", "wide", "resnet", "mixer", "fnet"]
    paper = [("vit", "wide"), ("vit", "resnet"), ("large", "wide"), ("large", "resnet")]
    assert roles.pairs_across(own, BESIDE) == [*paper, ("vit", "fnet"), ("fnet", "wide")]
    others = ["vit", "large", "wide", "resnet", "fnet"]
    assert roles.mixer_pairs(own, BESIDE) == [
        (mixer, other) for mixer in ("mixer", "mixer_large") for other in (mixer, *others)
    ]


@pytest.mark.parametrize(
    ("models", "shown", "across", "of_mixers"),
    [
        ("vit resnet", "vit resnet", "vit-resnet", ""),
        ("resnet vit", "resnet vit", "vit-resnet", ""),
        ("vit fnet", "vit fnet", "vit-fnet", ""),
        ("gap fnet", "gap fnet", "gap-fnet", ""),
        ("fnet resnet", "resnet fnet", "fnet-resnet", ""),
        ("hartley hybrid resnet", "resnet", "", ""),
        ("vit mixer", "vit mixer", "", "mixer-mixer mixer-vit"),
        ("mixer fnet", "mixer fnet", "mixer-fnet", "mixer-mixer mixer-fnet"),
        ("fnet hartley", "fnet hartley", "", ""),
        ("hartley", "hartley", "", ""),
        ("bare", "", "", ""),
    ],
)
def test_what_figures_of_layers_show_where_networks_are_missing(models, shown, across, of_mixers):
    own = on_all(*models.split())
    assert roles.shown_models(own, BESIDE) == shown.split()
    assert ["-".join(p) for p in roles.pairs_across(own, BESIDE)] == across.split()
    assert ["-".join(p) for p in roles.mixer_pairs(own, BESIDE)] == of_mixers.split()


def test_pyramids_and_hybrids_are_no_vits_and_no_resnets_unless_they_are_asked_for():
    """Claims about ViTs and ResNets are judged by `of_kind`."""
    seen = {"role": "other", "attention": False, "attention_sites": 12, "pool": ""}
    plain = {"role": "vit", "attention": True, "attention_sites": 0, "pool": "cls"}
    known = {
        "swin": foreign_facts.described({"name": "swin_t", "acts_as": "auto"}, seen),
        "vit": foreign_facts.described({"name": "vit_b_16", "acts_as": "auto"}, plain),
        "asked": foreign_facts.described({"name": "swin_s", "acts_as": "vit"}, seen),
    }
    own = on_all(*known)
    assert roles.of_kind(own, known, "vit", "cls") == ["vit"]
    assert roles.of_kind(own, known, "vit") == ["vit", "asked"]
    assert roles.of_kind(own, known, "resnet") == []
    assert known["swin"]["attention_sites"] and not known["swin"]["attention"]


def test_words_of_dumps_choose_public_mixers_too():
    own = on_all("vit", "mixer", "resnet")
    assert slugs(roles.chosen("main", own, KNOWN)) == ["vit/f100/s0", "resnet/f100/s0"]
    assert roles.chosen("main", own, KNOWN, public=["mixer"]) == own
    with pytest.raises(KeyError, match="NETWORKS is one of all, plain"):
        roles.chosen("mian", own, KNOWN)
