"""Claims C17 to C22 on made-up ViTs without skips, and on made-up localisation."""

import numpy as np
import pandas as pd
import pytest

from sightlines.claims.evidence import NotMeasured
from sightlines.claims.verdict import judge
from tests.claims.making_evidence import (
    CHANCE,
    GAP,
    GROUPS,
    MEANS,
    RESNET,
    SLUGS,
    TRAINED,
    VIT,
    check_words,
    claim,
    make_evidence,
    of,
    replicates,
    resnet_layers,
    values,
    verdict,
    vit_layers,
    with_replicates,
)
from tests.rounding import assert_rounded, rounded

NAMES = ("lacking", "vit")
BOTH = [f"{m}/{f}/s0" for f in ("f100", "f000") for m in NAMES]
LAYERS = pd.concat([vit_layers(model=model) for model in NAMES])
COUNT = len(LAYERS) // 2


def lacking(block, which="both"):
    return {"lacking": VIT | {"skipless_block": block, "skipless": which}, "vit": VIT}


def parted(first, across, within=0.6):
    """A map in two parts, cut before layer `first`."""
    low = np.arange(COUNT) < first
    return np.where(low[:, None] == low, within, across)


def figure_8(block, shown, not_shown):
    """Maps whose ratio at the cut below a block is one or the other; the intact ViT's is 1."""
    first = 3 + 6 * block

    def tables(trained, untrained, wide):
        ratios = [shown if is_shown else not_shown for is_shown in (trained, untrained)]
        own, bare = (parted(first, 0.6 * ratio) for ratio in ratios)
        other = np.stack([own, *(parted(first, 0.6 * (g % 2)) for g in range(GROUPS))])
        maps = {
            "lacking/f100/s0|lacking/f100/s0": other if wide else replicates(own),
            "lacking/f000/s0|lacking/f000/s0": replicates(bare),
        }
        for slug in ("vit/f100/s0", "vit/f000/s0"):
            maps[f"{slug}|{slug}"] = replicates(parted(first, 0.6))
        return {"cka_replicates.safetensors": maps, "layers.csv": LAYERS}

    return tables


@pytest.mark.parametrize(
    ("identity", "block", "shown", "not_shown"),
    [("C17", 3, 0.2, 0.6), ("C17", 2, 0.2, 0.6), ("C17b", 1, 0.6, 0.4)],
)
def test_figure_8(tmp_path, identity, block, shown, not_shown):
    tables = figure_8(block, shown, not_shown)
    check_words(tmp_path, identity, tables, slugs=BOTH, models=lacking(block))


def test_c17_cuts_after_the_first_norm_and_holds_it_against_the_intact_twin(tmp_path):
    tables = figure_8(3, 0.2, 0.6)(True, False, False)
    intact = parted(21, 0.6)
    intact[0, 30] = 0.0
    tables["cka_replicates.safetensors"]["vit/f100/s0|vit/f100/s0"] = replicates(intact)
    found = values(verdict("C17", make_evidence(tmp_path, tables, BOTH, lacking(3))))
    below, above = COUNT - 21, 21
    ratio = (below * above - 1) / (below * above)
    assert found == rounded([0.2, 0.2 / ratio], **MEANS, dtype=np.float32)


def test_c17_before_it_was_amended_cut_below_the_block(tmp_path):
    """There the first norm is among what is above, which it is as unlike as all below is."""
    tables = figure_8(3, 0.2, 0.6)(True, False, False)
    evidence = make_evidence(tmp_path, tables, BOTH, lacking(3))
    across, of_intact = values(judge(claim("C17").former, evidence))
    above = COUNT - 20
    within = (1.0 + (1.0 - 0.8 * 2 / above)) / 2
    ratio = (1.0 + 0.2 * (above - 1)) / above / within
    assert [across, of_intact] == rounded([ratio, ratio], **MEANS, dtype=np.float32)


def test_c17_before_it_was_amended_judged_the_last_block_too(tmp_path):
    tables = figure_8(5, 0.2, 0.6)(True, False, False)
    evidence = make_evidence(tmp_path, tables, BOTH, lacking(5))
    assert verdict("C17", evidence).word == "not run"
    assert judge(claim("C17").former, evidence).word != "not run"


def test_a_partition_that_the_intact_vit_has_as_well_is_not_of_the_skips(tmp_path):
    tables = figure_8(3, 0.2, 0.6)(True, False, False)
    maps = tables["cka_replicates.safetensors"]
    maps["vit/f100/s0|vit/f100/s0"] = maps["lacking/f100/s0|lacking/f100/s0"]
    found = verdict("C17", make_evidence(tmp_path, tables, BOTH, lacking(3)))
    assert found.because.startswith("fails for LACKING × VIT (of the intact ViT's)")


@pytest.mark.parametrize(
    ("identity", "block", "which"),
    [
        ("C17", 1, "both"),
        ("C17", 5, "both"),
        ("C17b", 2, "both"),
        ("C18", 1, "both"),
        ("C18", 4, "both"),
        ("C17", 3, "attn"),
        ("C18", 3, "mlp"),
    ],
)
def test_only_blocks_of_that_part_without_both_skips_count(tmp_path, identity, block, which):
    tables = figure_8(block, 0.2, 0.6)(True, False, False)
    found = verdict(identity, make_evidence(tmp_path, tables, BOTH, lacking(block, which)))
    assert found.word == "not run" and "lacks both skips" in found.because


def test_a_skipless_vit_without_its_twin_is_not_judged(tmp_path):
    models = lacking(3) | {"vit": VIT | {"width": 48}}
    tables = figure_8(3, 0.2, 0.6)(True, False, False)
    found = verdict("C17", make_evidence(tmp_path, tables, BOTH, models))
    assert found.word == "not run" and "intact twin" in found.because


def accuracies(lacking_one, intact=0.6):
    return {"lacking/f100/s0": lacking_one, "vit/f100/s0": intact}


@pytest.mark.parametrize(
    ("accuracy", "word"),
    [
        (0.55, "undecided"),
        (0.56, "undecided"),
        (0.62, "undecided"),
        (0.68, "does not hold"),
        (0.45, "does not hold"),
        (CHANCE, "does not hold"),
    ],
)
def test_c18_with_1000_images(tmp_path, accuracy, word):
    evidence = make_evidence(
        tmp_path, {}, BOTH, lacking(3), accuracy={"vit/f100/s0": 0.66} | accuracies(accuracy)
    )
    found = verdict("C18", evidence)
    assert values(found) == rounded([100 * (0.6 - accuracy)] * 2, **MEANS)
    assert found.word == word


def c18(folder, accuracy, intact=0.6, images=100_000):
    evidence = make_evidence(folder, {}, BOTH, lacking(3), accuracy=accuracies(accuracy, intact))
    evidence.table("accuracy.csv")["test_images"] = images
    return verdict("C18", evidence)


def test_c18_with_many_images(tmp_path):
    assert c18(tmp_path, 0.56).word.startswith("holds")
    assert c18(tmp_path, 0.595).word.startswith("holds"), "half a point is a little"
    assert c18(tmp_path, 0.60).word == "undecided", "no fall, or one that is not seen"
    assert c18(tmp_path, 0.62).word == "does not hold"
    assert c18(tmp_path, 0.51).word == "does not hold"
    assert c18(tmp_path, 0.56, images=500).word == "undecided"


def test_c18_before_it_was_amended_asked_for_a_point(tmp_path):
    evidence = make_evidence(tmp_path, {}, BOTH, lacking(3), accuracy=accuracies(0.6))
    evidence.table("accuracy.csv")["test_images"] = 100_000
    assert judge(claim("C18").former, evidence).word == "does not hold"


def test_c18_a_collapse_is_an_answer_but_a_poor_twin_is_none(tmp_path):
    assert c18(tmp_path, CHANCE).because == "fails for LACKING × VIT (fall in points)"
    assert c18(tmp_path, 0.2, intact=0.21).because == "learned too little: LACKING × VIT"


def test_c17_says_nothing_of_a_network_that_did_not_learn(tmp_path):
    tables = figure_8(3, 0.2, 0.6)(True, False, False)
    poor = {"lacking/f100/s0": CHANCE}
    evidence = make_evidence(tmp_path, tables, BOTH, lacking(3), accuracy=poor)
    assert verdict("C17", evidence).because.startswith("learned too little")


def indices(model, index, matrix, shuffled=0.0):
    """Another index of similarity of a network's block outputs with themselves."""
    row, column = np.indices(matrix.shape)
    own = {"index": index, "value": matrix.ravel(), "shuffled": shuffled}
    own |= {"layer_a": row.ravel(), "layer_b": column.ravel()}
    for side in "ab":
        own |= {f"{k}_{side}": v for k, v in of(f"{model}/f100/s0").items()}
    return pd.DataFrame(own)


def test_c17_under_another_index(tmp_path):
    frames = []
    low = np.arange(6) < 3
    for index, across in (("rbf", 0.1), ("procrustes", 0.5)):
        for model, similarity in (("lacking", across), ("vit", 0.6)):
            frames.append(indices(model, index, np.where(low[:, None] == low, 0.6, similarity)))
    tables = {"similarity_indices.parquet": pd.concat(frames)}
    evidence = make_evidence(tmp_path, tables, BOTH, lacking(3))
    check = claim("C17").robustness_check
    assert check(evidence, "rbf") and not check(evidence, "procrustes")
    with pytest.raises(NotMeasured):
        check(evidence, "neighbours")


def test_a_part_of_one_block_leaves_a_robustness_check_to_the_other(tmp_path):
    """Block 1 above one block alone."""
    part = np.arange(6) < 1
    maps = {"lacking": np.where(part[:, None] == part, 0.8, 0.1), "vit": np.full((6, 6), 0.8)}
    frames = [indices(model, "rbf", own) for model, own in maps.items()]
    evidence = make_evidence(
        tmp_path, {"similarity_indices.parquet": pd.concat(frames)}, BOTH, lacking(1)
    )
    assert not claim("C17b").robustness_check(evidence, "rbf")


def test_a_biased_index_is_held_against_its_value_for_shuffled_images(tmp_path):
    """Across the cut there is nothing beyond what unrelated layers of that size show."""
    low = np.arange(6) < 3
    own = np.where(low[:, None] == low, 0.9, 0.6)
    frames = [
        indices("lacking", "procrustes", own, shuffled=0.6),
        indices("vit", "procrustes", np.full((6, 6), 0.9), shuffled=0.6),
    ]
    tables = {"similarity_indices.parquet": pd.concat(frames)}
    evidence = make_evidence(tmp_path, tables, BOTH, lacking(3))
    assert claim("C17").robustness_check(evidence, "procrustes")
    network = evidence.full("lacking")[0]
    expected = np.where(low[:, None] == low, 0.75, 0.0)
    assert_rounded(evidence.similarity_by("procrustes", network, network), expected, **MEANS)


SCORES = ("z", "effect", "rank_1_share", "token_correlation", "border_cka", "interior_cka")
LOCALISED = {"z": 5.0, "effect": 7.0, "rank_1_share": 0.9, "token_correlation": 0.1}
LOCALISED |= {"border_cka": 0.3, "interior_cka": 0.1}
BLURRED = {"z": 0.5, "effect": 0.6, "rank_1_share": 0.1, "token_correlation": 0.8}
BLURRED |= {"border_cka": 0.1, "interior_cka": 0.1001}


def localised(slug, *by_block, spread=0.0, blocks=6, norm=False):
    """Scores of the last blocks; of the norm, of other tokens and of other scores, others."""
    rows = []
    places = [*range(blocks - len(by_block), blocks), *([-1] if norm else [])]
    for block, scores in zip(places, [*by_block, BLURRED], strict=False):
        for where, score in (("interior", "cka"), ("all", "cka"), ("interior", "less_baseline")):
            shown = scores if (where, score) == ("interior", "cka") else dict.fromkeys(SCORES, 9.0)
            rows.append(of(slug) | {"block": block, "where": where, "score": score} | shown)
    table = with_replicates(rows, "z", spread)
    signs = replicates(0.0, spread / 10)
    table["effect"] += replicates(0.0, spread)[table["left_out"] + 1]
    for column in set(SCORES) - {"z", "effect", "interior_cka"}:
        table[column] += signs[table["left_out"] + 1]
    return table


def margins(slug, share, spread=0.0, tokens=10):
    """Margins of tokens of which a share has its own patch first."""
    rows = [
        of(slug)
        | {"token": token, "score": "cka", "margin": 0.1 if token < share * tokens else -0.1}
        for token in range(tokens)
    ]
    return with_replicates(rows, "margin", spread)


BARE_RESNET = localised("resnet/f000/s0", BLURRED, BLURRED)


def figure_9(trained, untrained, wide):
    parts, first = [BARE_RESNET], []
    for slug, is_shown in zip(SLUGS[::2], (trained, untrained), strict=True):
        scores = LOCALISED if is_shown else BLURRED
        spread = 1.0 * (wide and slug == SLUGS[0])
        parts.append(localised(slug, BLURRED, scores, spread=spread, norm=True))
        first.append(margins(slug, scores["rank_1_share"], spread, tokens=100))
    earlier = BLURRED | {"z": 2.0, "effect": 2.5}
    parts.append(localised("resnet/f100/s0", earlier, earlier, earlier, BLURRED))
    layers = pd.concat([vit_layers(), resnet_layers()])
    return {
        "localisation.parquet": pd.concat(parts),
        "localisation_margins.parquet": pd.concat(first),
        "layers.csv": layers,
    }


@pytest.mark.whole  # every word, of nine experiments
@pytest.mark.parametrize("identity", ["C19", "C20", "C21"])
def test_figure_9(tmp_path, identity):
    check_words(tmp_path, identity, figure_9)


def test_c19_and_c20_are_what_they_say(tmp_path):
    evidence = make_evidence(tmp_path, figure_9(True, False, False))
    assert values(verdict("C19", evidence)) == rounded([0.9, 7.0], **MEANS)
    assert values(verdict("C20", evidence)) == rounded([3.5 - 0.6, 0.8, 0.1], **MEANS)
    assert values(verdict("C21", evidence)) == rounded([0.2], **MEANS)


@pytest.mark.parametrize(
    ("identity", "before"),
    [
        ("C19", [0.9, 5.0]),
        ("C20", [2.0, 0.8, 0.1]),
        ("C20b", [1.5, 3.0]),
        ("C22", [4.5, 0.8]),
    ],
)
def test_before_they_were_amended_they_were_about_z(tmp_path, identity, before):
    made = {"C20b": figure_d3, "C22": figure_10}.get(identity, figure_9)(True, False, False)
    own = (POOLED, POOLS) if identity == "C22" else (SLUGS,)
    former = claim(identity).former
    assert values(judge(former, make_evidence(tmp_path, made, *own))) == rounded(before, **MEANS)


def test_the_share_of_first_patches_has_an_interval_between_0_and_1(tmp_path):
    """One token is first by a hair: the share may be .1 less, and never more than 1."""
    tables = figure_9(True, False, False)
    table = margins(SLUGS[0], 1.0, spread=0.0005)
    table.loc[table["token"] == 9, "margin"] -= 0.0995
    tables["localisation_margins.parquet"] = table
    line = verdict("C19", make_evidence(tmp_path, tables, spread=None)).lines[0]
    assert (line.value, line.low, line.high) == rounded((1.0, 0.9, 1.0), **MEANS)


def units(first, second, third, last):
    """A ResNet of six units in three stages: its middle unit is 3, its last stage begins at 4."""
    return [BLURRED | {"z": z, "effect": 1.5 * z} for z in (first, second, third, last)]


def figure_d3(trained, untrained, wide):
    parts = []
    for vit, resnet, is_shown in zip(SLUGS[::2], SLUGS[1::2], (trained, untrained), strict=True):
        spread = 1.0 * (wide and vit == SLUGS[0])
        parts.append(localised(vit, LOCALISED, spread=spread))
        by_unit = units(9, 2.0, 2.0, 0.5 if is_shown else 3.0)
        parts.append(localised(resnet, *by_unit))
    layers = pd.concat([vit_layers(), resnet_layers()])
    return {"localisation.parquet": pd.concat(parts), "layers.csv": layers}


@pytest.mark.whole  # every word, of nine experiments
def test_c20b(tmp_path):
    check_words(tmp_path, "C20b", figure_d3)


def test_c20b_reads_the_first_unit_of_the_last_stage(tmp_path):
    evidence = make_evidence(tmp_path, figure_d3(True, False, False))
    assert values(verdict("C20b", evidence)) == rounded(
        [1.5 * (2.0 - 0.5), 7.0 - 1.5 * 2.0], **MEANS
    )


def test_a_resnet_of_one_unit_has_none_before_its_last(tmp_path):
    parts = [localised(TRAINED[0], LOCALISED), localised(TRAINED[1], BLURRED, blocks=1)]
    layers = pd.concat([vit_layers(), resnet_layers(units=1)])
    tables = {"localisation.parquet": pd.concat(parts), "layers.csv": layers}
    found = verdict("C20b", make_evidence(tmp_path, tables, TRAINED))
    assert found.word == "not run" and "more units" in found.because


def test_scores_that_are_undefined_leave_c19_open(tmp_path):
    table = localised(TRAINED[0], LOCALISED | {"effect": np.nan})
    tables = {"localisation.parquet": table}
    tables["localisation_margins.parquet"] = margins(TRAINED[0], 0.9)
    found = verdict("C19", make_evidence(tmp_path, tables, TRAINED))
    assert found.word == "undecided" and "effect size of the own patch" in found.because


POOLS = {"vit": VIT, "gap": GAP}
POOLED = [f"{m}/{f}/s0" for f in ("f100", "f000") for m in POOLS]


def figure_10(trained, untrained, wide):
    parts = []
    for cls, gap, is_shown in zip(POOLED[::2], POOLED[1::2], (trained, untrained), strict=True):
        spread = 1.0 * (wide and cls == POOLED[0])
        parts.append(localised(cls, LOCALISED, spread=spread))
        parts.append(localised(gap, BLURRED if is_shown else LOCALISED))
    return {"localisation.parquet": pd.concat(parts)}


@pytest.mark.whole  # every word, of nine experiments
def test_c22(tmp_path):
    check_words(tmp_path, "C22", figure_10, slugs=POOLED, models=POOLS)


def test_c22_needs_a_twin(tmp_path):
    models = POOLS | {"gap": GAP | {"width": 48}}
    tables = figure_10(True, False, False)
    found = verdict("C22", make_evidence(tmp_path, tables, POOLED, models))
    assert found.word == "not run" and "alike else" in found.because
    alone = verdict("C22", make_evidence(tmp_path, tables, POOLED[:1], {"vit": VIT}))
    assert alone.because == "needs a vit with pool gap trained on f100 among the runs"


def test_a_missing_resnet_is_named(tmp_path):
    table = localised(TRAINED[0], LOCALISED)
    tables = {"localisation.parquet": table}
    found = verdict("C20", make_evidence(tmp_path, tables, TRAINED[:1], {"vit": VIT}))
    assert found.because == "needs a resnet trained on f100 among the runs"


def test_without_untrained_networks_there_is_no_control(tmp_path):
    models = {"vit": VIT, "resnet": RESNET}
    evidence = make_evidence(tmp_path, figure_9(True, False, False), TRAINED, models)
    assert "no untrained control for VIT" in verdict("C19", evidence).because


@pytest.mark.parametrize("identity", ["C20", "C20b"])
def test_tokens_of_grids_of_several_sizes_are_not_compared(tmp_path, identity):
    made = {"C20": figure_9, "C20b": figure_d3}[identity](True, False, False)
    for patches, word in ((64, "holds"), (16, "out of reach")):
        rows = [of(slug) | {"patches": n} for slug, n in zip(TRAINED, (64, patches), strict=True)]
        tables = made | {"localisation_tokens.parquet": pd.DataFrame(rows)}
        found = verdict(identity, make_evidence(tmp_path / str(patches), tables))
        assert found.word.startswith(word)
        assert ("several sizes are compared (VIT 64, RESNET 16)" in found.because) == (patches < 64)


@pytest.mark.parametrize("identity", ["C20", "C22"])
def test_networks_of_other_accuracies_are_out_of_reach(tmp_path, identity):
    made, own = {"C20": (figure_9, (SLUGS,)), "C22": (figure_10, (POOLED, POOLS))}[identity]
    evidence = make_evidence(tmp_path, made(1, 0, 0), *own, accuracy={own[0][1]: 0.4})
    found = verdict(identity, evidence)
    assert found.word == "out of reach" and "points of accuracy apart" in found.because
    assert judge(claim(identity).former, evidence).word.startswith("holds")
