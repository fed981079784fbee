"""Claims C23 to C25 and C28 to C30 on made-up probes; C26 and C27 are in test_fig12.py."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtrit

from sightlines.claims.accuracies import widest_spread
from sightlines.claims.claim import from_replicates
from sightlines.claims.evidence import Evidence
from sightlines.claims.premises import less_data_hurts
from sightlines.claims.probing import from_fits
from sightlines.claims.verdict import judge
from sightlines.plan.networks import Network
from sightlines.stats.half_samples import FALL, PAIRS
from tests.claims.making_evidence import (
    CHANCE,
    GAP,
    MEANS,
    RESNET,
    SLUGS,
    TRAINED,
    VIT,
    check_words,
    claim,
    make_evidence,
    of,
    values,
    verdict,
    with_halves,
    with_replicates,
)
from tests.rounding import rounded

POOLS = {"vit": VIT, "gap": GAP, "resnet": RESNET}
TRIO = [f"{m}/{f}/s0" for f in ("f100", "f000") for m in POOLS]
SIGNS = {"vit": 1, "gap": -1, "resnet": -1, "all": -1, "first": -1, "f010": -1}
"""Whether replicates of wide intervals go up or down first: differences of like ones are exact."""


def replicated(rows, slug, pool, wide):
    own = of(slug)
    sign = np.prod([SIGNS.get(word, 1) for word in (own["model"], own["fraction"], pool)])
    return with_replicates([row | own for row in rows], "accuracy", 0.1 * sign * wide)


def probes(slug, accuracy, pool="mean", wide=False, **other):
    """Replicates of probes evenly spread over the depth."""
    facts = {"pool": pool, "dataset": "", "chance": CHANCE} | other
    depths = np.linspace(0, 1, len(accuracy)).tolist()
    rows = [
        {"layer": layer, "depth": depth, "accuracy": float(own)} | facts
        for layer, (depth, own) in enumerate(zip(depths, accuracy, strict=True))
    ]
    return replicated(rows, slug, pool, wide)


def tokens(slug, accuracy, wide=False, name="block05.out", depth=0.9):
    row = {"accuracy": float(np.mean(accuracy)), "depth": depth, "name": name, "chance": CHANCE}
    return replicated([row], slug, "", wide)


def figure_11a(trained, untrained, wide):
    parts = []
    for cls, gap, resnet, is_shown in ((*TRIO[:3], trained), (*TRIO[3:], untrained)):
        is_wide = wide and cls == TRIO[0]
        parts.append(tokens(cls, [0.2, 0.3] if is_shown else [0.5, 0.6], is_wide))
        parts += [tokens(other, [0.6, 0.8], is_wide) for other in (gap, resnet)]
        parts += [tokens(cls, [0.9], name="norm", depth=1.0), tokens(cls, [0.9], depth=0.5)]
    return {"token_probe_replicates.parquet": pd.concat(parts)}


def test_c23(tmp_path):
    check_words(tmp_path, "C23", figure_11a, slugs=TRIO, models=POOLS)


def test_c23_is_half_of_what_others_know_above_chance(tmp_path):
    tables = figure_11a(True, False, False)
    found = verdict("C23", make_evidence(tmp_path, tables, TRIO, POOLS))
    assert values(found) == rounded([0.5 * (0.7 - CHANCE) - (0.25 - CHANCE)] * 2, **MEANS)
    assert found.lines[0].control == rounded(0.5 * (0.7 - CHANCE) - (0.55 - CHANCE), **MEANS)


def test_a_token_without_accuracy_leaves_c23_open(tmp_path):
    tables = figure_11a(True, False, False)
    table = tables["token_probe_replicates.parquet"]
    one = (table["fraction"] == "f100") & (table["model"] == "vit") & (table["depth"] == 0.9)
    tables["token_probe_replicates.parquet"] = table.assign(accuracy=table["accuracy"].mask(one))
    found = verdict("C23", make_evidence(tmp_path, tables, TRIO, POOLS))
    assert found.word == "undecided" and "undefined" in found.because


def test_c23_needs_tokens_after_the_last_block(tmp_path):
    tables = {
        "token_probe_replicates.parquet": pd.concat([tokens(s, [0.5], name="norm") for s in TRIO])
    }
    found = verdict("C23", make_evidence(tmp_path, tables, TRIO, POOLS))
    assert found.word == "not run" and "after its last block" in found.because


def test_seeds_whose_tokens_were_not_probed_are_left_out(tmp_path):
    slugs = [*TRIO, "vit/f100/s1", "gap/f100/s1"]
    found = verdict("C23", make_evidence(tmp_path, figure_11a(True, False, False), slugs, POOLS))
    assert found.word.startswith("holds") and len(found.lines) == 2


RISING, LATE = [0.2, 0.4, 0.5, 0.6, 0.8], [0.2, 0.2, 0.2, 0.3, 0.79]


def figure_11b(trained, untrained, wide):
    parts = []
    for cls, gap, is_shown in ((*TRIO[:2], trained), (*TRIO[3:5], untrained)):
        is_wide = wide and cls == TRIO[0]
        parts.append(probes(cls, RISING, "cls", is_wide))
        parts.append(probes(cls, LATE if is_shown else [0.9] * 5, "all", is_wide))
        parts.append(probes(gap, RISING if is_shown else [0.5] * 5, "mean", is_wide))
        parts.append(probes(gap, LATE, "first", is_wide))
        parts.append(probes(gap, [0.99] * 5, "mean").assign(dataset="other"))
    return {"probe_replicates.parquet": pd.concat(parts)}


@pytest.mark.whole  # every word, of nine experiments
def test_c24(tmp_path):
    check_words(tmp_path, "C24", figure_11b, False, slugs=TRIO, models=POOLS)


@pytest.mark.whole  # every word, of nine experiments
def test_c25(tmp_path):
    check_words(tmp_path, "C25", figure_11b, slugs=TRIO, models=POOLS)


def test_c24_and_c25_are_what_they_say(tmp_path):
    evidence = make_evidence(tmp_path, figure_11b(True, False, False), TRIO, POOLS)
    assert values(verdict("C24", evidence)) == [0.0, 0.0]
    assert values(verdict("C25", evidence)) == rounded([0.01, 0.5 - 0.2, 0.01], **MEANS)


@pytest.mark.parametrize("better", ["vit", "gap"])
def test_c24_fails_on_either_side(tmp_path, better):
    tables = figure_11b(True, False, False)
    table = tables["probe_replicates.parquet"]
    table.loc[(table["model"] == better) & table["pool"].isin(["cls", "mean"]), "accuracy"] += 0.06
    assert verdict("C24", make_evidence(tmp_path, tables, TRIO, POOLS)).word == "does not hold"


def test_c24_allows_what_two_seeds_differ_by_and_says_what_it_asked_for_before(tmp_path):
    tables = figure_11b(True, False, False)
    table = tables["probe_replicates.parquet"]
    table.loc[(table["model"] == "vit") & (table["pool"] == "cls"), "accuracy"] += 0.04
    evidence = make_evidence(tmp_path, tables, TRIO, POOLS)
    assert verdict("C24", evidence).word.startswith("holds")
    assert judge(claim("C24").former, evidence).word == "does not hold"


def test_probes_without_accuracy_leave_c25_open(tmp_path):
    tables = figure_11b(True, False, False)
    table = tables["probe_replicates.parquet"]
    tables["probe_replicates.parquet"] = table.assign(
        accuracy=table["accuracy"].mask((table["pool"] == "all") & (table["fraction"] == "f100"))
    )
    found = verdict("C25", make_evidence(tmp_path, tables, TRIO, POOLS))
    assert found.word == "undecided" and "CLS;CLS − CLS;GAP" in found.because


@pytest.mark.parametrize("identity", ["C23", "C24", "C25"])
def test_figure_11_needs_a_pooled_twin(tmp_path, identity):
    tables = figure_11a(True, False, False) | figure_11b(True, False, False)
    other = make_evidence(tmp_path, tables, TRIO, POOLS | {"gap": GAP | {"width": 48}})
    assert "alike else" in verdict(identity, other).because
    alone = make_evidence(tmp_path, tables, SLUGS)
    assert verdict(identity, alone).word == "not run"


def test_both_seeds_of_a_pair_are_read(tmp_path):
    slugs = [f"{m}/f100/{s}" for m in ("vit", "gap") for s in ("s0", "s1")]
    parts = [probes(s, RISING, "cls" if "vit" in s else "mean") for s in slugs[:3]]
    table = pd.concat([*parts, probes(slugs[3], [0.6], "mean")])
    found = verdict(
        "C24", make_evidence(tmp_path, {"probe_replicates.parquet": table}, slugs, POOLS)
    )
    line = found.lines[0]
    assert line.value == rounded(0.1, **MEANS)
    assert line.seeds.startswith("2 of VIT (made up); 2 of GAP")


ENOUGH = ["vit/f100/s0", "vit/f010/s0", "resnet/f100/s0", "vit/f000/s0", "resnet/f000/s0"]
MORE, FEWER = [0.2, 0.4, 0.6, 0.7, 0.75], [0.2, 0.2, 0.3, 0.4, 0.7]
FLAT = [0.2, 0.3, 0.3, 0.4, 0.5]


def figure_13(trained, untrained, wide, dataset=""):
    own = [(ENOUGH[0], MORE), (ENOUGH[1], FEWER if trained else [*MORE[:4], 0.5])]
    own += [(ENOUGH[2], FLAT if trained else [0.8] * 5)]
    own += [(ENOUGH[3], MORE), (ENOUGH[4], FLAT if untrained else [0.8] * 5)]
    parts = [probes(s, a, "mean", wide and i < 3) for i, (s, a) in enumerate(own)]
    others = [probes(s, [0.99, 0.99], "first") for s in ENOUGH]
    return {"probe_replicates.parquet": pd.concat([*parts, *others]).assign(dataset=dataset)}


@pytest.mark.whole  # every word, of nine experiments
@pytest.mark.parametrize(("identity", "has_control"), [("C28", False), ("C29", True)])
def test_figure_13(tmp_path, identity, has_control):
    check_words(tmp_path, identity, figure_13, has_control, slugs=ENOUGH)


def middle(curve):
    return np.interp(np.linspace(0.5, 0.8, 7), np.linspace(0, 1, 5), curve).mean()


def test_c28_and_c29_are_what_they_say(tmp_path):
    evidence = make_evidence(tmp_path, figure_13(True, False, False), ENOUGH)
    gap = middle(MORE) - middle(FEWER)
    assert values(verdict("C28", evidence)) == rounded([gap, gap - 2 * 0.05], **MEANS)
    ahead = [middle(MORE) - middle(FLAT), 0.25]
    assert values(verdict("C29", evidence)) == rounded(ahead, **MEANS)


def test_c28_is_of_the_largest_vit_with_fewer_images_and_its_smallest_fraction(tmp_path):
    models = {"vit": VIT, "large": VIT, "resnet": RESNET}
    slugs = [*ENOUGH, "vit/f030/s0", "large/f100/s0"]
    parts = [figure_13(True, False, False)["probe_replicates.parquet"]]
    parts += [probes(s, [0.9] * 5) for s in slugs[-2:]]
    tables = {"probe_replicates.parquet": pd.concat(parts)}
    evidence = make_evidence(tmp_path, tables, slugs, models, sizes={"vit": 1000, "large": 2000})
    assert verdict("C28", evidence).word.startswith("holds")
    found = verdict("C29", evidence)
    assert {line.case for line in found.lines} == {"LARGE × RESNET"}
    assert "no untrained control" in found.because


def test_c28_reads_every_seed_on_the_smallest_fraction(tmp_path):
    slugs = [f"vit/{f}/{s}" for f in ("f100", "f010") for s in ("s0", "s1", "s2")]
    curves = [MORE, FEWER, MORE, MORE, MORE]
    parts = [probes(s, curve) for s, curve in zip(slugs, curves, strict=False)]
    evidence = make_evidence(tmp_path, {"probe_replicates.parquet": pd.concat(parts)}, slugs)
    line = verdict("C28", evidence).lines[0]
    gap = middle(MORE) - middle(FEWER)
    assert line.value == rounded(-gap / 2, **MEANS)
    assert line.seeds.startswith("2 of VIT")


def test_intervals_are_over_test_images_and_over_which_images_probes_were_fitted_to():
    replicates, halves = np.array([0.5, 0.52, 0.48, 0.51, 0.49]), np.full((PAIRS, 2), 0.4)
    tested = from_replicates(replicates)
    alike = from_fits(np.append(replicates, halves))
    assert (alike.value, alike.low) == (0.5, pytest.approx(tested.low)) and alike.freedom == 3
    halves[:, 0] += 0.1
    reading = from_fits(np.append(replicates, halves))
    of_fits = 0.1**2 / 2 / FALL
    both = np.square(tested.moves).sum() + of_fits
    assert np.square(reading.moves).sum() == pytest.approx(both)
    freedom = both**2 / ((both - of_fits) ** 2 / 3 + of_fits**2 / PAIRS)
    assert reading.freedom == pytest.approx(freedom)
    assert reading.high - reading.value == pytest.approx(stdtrit(freedom, 0.975) * both**0.5)
    halves[0, 1] = np.nan
    assert np.isnan(from_fits(np.append(replicates, halves)).low)


def test_what_networks_move_alike_by_is_no_part_of_their_difference(tmp_path):
    """Two networks that gain and lose by the same halves, and two of which one does not."""
    tables = figure_11b(True, False, False)
    table = tables["probe_replicates.parquet"]
    whole = table[table["left_out"] == -1]
    of_cls = (whole["model"] == "vit").to_numpy()
    widths = {}
    for name, spread in (("alike", 0.05), ("apart", np.where(of_cls, 0.05, 0.0))):
        halves = {"probe_halves.parquet": with_halves(whole, spread)}
        evidence = make_evidence(tmp_path / name, tables | halves, TRIO, POOLS)
        line = verdict("C24", evidence).lines[0]
        widths[name] = line.high - line.low
    assert widths["alike"] < 1e-6 < 0.1 < widths["apart"]


@pytest.mark.parametrize("identity", ["C28", "C29"])
def test_probes_without_accuracy_leave_figure_13_open(tmp_path, identity):
    tables = figure_13(True, False, False)
    table = tables["probe_replicates.parquet"]
    one = (table["depth"] == 0.75) & (table["fraction"] == "f100") & (table["model"] == "vit")
    tables["probe_replicates.parquet"] = table.assign(accuracy=table["accuracy"].mask(one))
    found = verdict(identity, make_evidence(tmp_path, tables, ENOUGH))
    assert found.word == "undecided" and "undefined" in found.because


@pytest.mark.parametrize("fewer", [0.7, 0.6, 0.57])
def test_where_fewer_images_cost_nothing_their_harm_cannot_be_tested(tmp_path, fewer):
    """Nor where the images are too few to tell: .03 less of 1,000."""
    tables = figure_13(False, False, False)
    found = verdict("C28", make_evidence(tmp_path, tables, ENOUGH, accuracy={ENOUGH[1]: fewer}))
    assert found.word == "out of reach"
    words = f"VIT is not shown to be worse with 10 % of the images than with all ({fewer:.1%} and"
    assert found.because.startswith(words) and "fails for VIT" in found.because


@pytest.mark.parametrize(("other", "is_met"), [(0.4, True), (0.59, False)])
def test_of_several_seeds_fewer_images_must_cost_accuracy_in_the_mean(tmp_path, other, is_met):
    slugs = [f"vit/{f}/{s}" for f in ("f100", "f010") for s in ("s0", "s1")]
    table = pd.concat([probes(slug, MORE) for slug in slugs])
    accuracy = {"vit/f010/s0": 0.6, "vit/f010/s1": other}
    evidence = make_evidence(
        tmp_path, {"probe_replicates.parquet": table}, slugs, accuracy=accuracy
    )
    found = verdict("C28", evidence)
    told = f"with all ({(0.6 + other) / 2:.1%} and 60.0%," in found.because
    assert told == ("worse with 10 %" in found.because) != is_met


def cost(folder, fewer, seeds=("s0",), images=4_000, **others):
    """The verdict on C28, and its premise, of networks with so many test images."""
    slugs = [f"vit/{f}/{s}" for f in ("f100", "f010") for s in seeds]
    table = pd.concat([probes(slug, MORE) for slug in slugs])
    accuracy = {s: f for s, f in zip(slugs[len(seeds) :], fewer, strict=True)}
    tables, slugs = {"probe_replicates.parquet": table}, [*slugs, *others.get("more", [])]
    accuracy |= others.get("accuracy", {})
    evidence = make_evidence(folder, tables, slugs, accuracy=accuracy, spread=None)
    evidence.table("accuracy.csv")["test_images"] = images
    return verdict("C28", evidence)


def test_of_one_run_the_harm_of_fewer_images_is_not_known(tmp_path):
    """.04 less are four standard errors of the images, and no more than seeds differ by."""
    found = cost(tmp_path / "alone", [0.56])
    assert found.word == "one run" and found.because.startswith("one run of VIT with all and with")
    assert found.p is None and found.in_this_run in ("holds", "fails", "unclear")
    seeds = {"more": ["resnet/f100/s0", "resnet/f100/s1", "resnet/f100/s2"]}
    apart = {"resnet/f100/s0": 0.7, "resnet/f100/s1": 0.72, "resnet/f100/s2": 0.68}
    known = cost(tmp_path / "known", [0.56], **seeds, accuracy=apart)
    assert known.word == "out of reach" and "not shown to be worse" in known.because
    assert "points over images" not in known.because
    far = cost(tmp_path / "far", [0.3], **seeds, accuracy=apart)
    assert far.word == "one run" and "cost accuracy" not in far.because, "its own readings"


def test_the_widest_spread_has_the_degrees_of_freedom_of_all(tmp_path):
    accuracy = {"vit/f100/s0": 0.7, "vit/f100/s1": 0.72, "vit/f010/s0": 0.5, "vit/f010/s1": 0.6}
    slugs = [*accuracy, "resnet/f100/s0", "vit/f000/s0", "vit/f000/s1"]
    made = make_evidence(tmp_path, {}, slugs, accuracy=accuracy | {"vit/f000/s1": 0.9})
    assert widest_spread(made) == (pytest.approx(0.005), 2, "VIT")
    assert widest_spread(make_evidence(tmp_path / "one", {}, SLUGS)) is None


@pytest.mark.whole
def test_seeds_that_differ_are_no_harm_of_fewer_images(tmp_path):
    """Simulated: nothing is lost, and seeds differ by .02 (4,000 images)."""
    random, met, draws = np.random.default_rng(1), 0, 200
    seeds = ["s0", "s1", "s2"]
    slugs = [f"vit/{f}/{s}" for f in ("f100", "f010") for s in seeds]
    evidence = make_evidence(tmp_path, {}, slugs, spread=None)
    table = evidence.table("accuracy.csv").assign(test_images=4_000)
    pairs = [tuple(Network.parse(f"vit/{f}/{s}") for f in ("f100", "f010")) for s in seeds]
    premise = less_data_hurts(lambda _: pairs)
    for _ in range(draws):
        truth = 0.6 + 0.02 * random.standard_normal(len(table))
        table["accuracy_test"] = random.binomial(4_000, truth) / 4_000
        met += not premise.unmet(Evidence(evidence.config, {"accuracy.csv": table}))
    assert met <= draws * (0.025 + 2 * (0.025 * 0.975 / draws) ** 0.5)


def test_c28_needs_fewer_images(tmp_path):
    found = verdict("C28", make_evidence(tmp_path, figure_13(True, False, False), TRAINED))
    assert found.word == "not run" and "smaller fraction" in found.because


def elsewhere(tmp_path, tables, tasks=("toys",), **more):
    evidence = make_evidence(tmp_path, tables, ENOUGH, **more)
    evidence.config["tasks"] = dict.fromkeys(tasks, "in")
    return verdict("C30", evidence)


@pytest.mark.whole
def test_c30(tmp_path):
    def word(*shown, **more):
        return elsewhere(tmp_path, figure_13(*shown, dataset="toys"), **more).word

    assert word(True, False, False) == "holds, learned"
    assert word(True, True, False) == "holds at initialisation"
    assert word(False, False, False) == "does not hold"
    assert word(True, False, True) == "undecided"
    assert word(True, False, False, accuracy=dict.fromkeys(ENOUGH, CHANCE)) == "out of reach"
    assert word(True, False, False, accuracy={"vit/f010/s0": CHANCE}) == "out of reach"
    assert word(True, False, False, tasks=()) == "not run"
    assert elsewhere(tmp_path, {}).word == "not run"
    assert elsewhere(tmp_path, figure_13(True, False, False)).word == "not run"


def test_c30_is_c28_and_c29_on_every_task_that_was_probed(tmp_path):
    parts = [figure_13(s, True, False, d) for s, d in ((True, "toys"), (False, "cars"))]
    table = pd.concat([part["probe_replicates.parquet"] for part in parts])
    found = elsewhere(tmp_path, {"probe_replicates.parquet": table}, ("toys", "cars", "unknown"))
    assert [line.case for line in found.lines[::4]] == [
        "VIT × RESNET on toys",
        "VIT × RESNET on cars",
        "mean of 2",
    ]
    assert "by itself: holds for VIT × RESNET on toys; fails for VIT × RESNET on cars" in (
        found.because
    )
    assert "; in part not measured: " in found.because
    assert "dataset unknown" in found.because
    own = make_evidence(tmp_path / "own", figure_13(True, True, False), ENOUGH)
    expected = [v for identity in ("C28", "C29") for v in values(verdict(identity, own))]
    assert values(found) == rounded(expected, **MEANS)


def test_undefined_probes_leave_c30_open(tmp_path):
    tables = figure_13(True, False, False, "toys")
    table = tables["probe_replicates.parquet"]
    one = (table["depth"] == 1.0) & (table["model"] == "resnet")
    tables["probe_replicates.parquet"] = table.assign(accuracy=table["accuracy"].mask(one))
    assert elsewhere(tmp_path, tables).word == "undecided"
