"""By which kinds of architecture cases differ."""

from sightlines.claims.architectures import crossed, pooled
from sightlines.claims.claim import Reading, Sample, Source
from tests.claims.making_evidence import MEANS
from tests.rounding import rounded


def sample(*networks, value=0.0):
    """A case of these networks, of one seed each, or of two kinds that are read together (a+b)."""
    sources = []
    for own in networks:
        slugs = tuple(f"{n if '/' in n else f'{n}/f100'}/s0" for n in own.split("+"))
        sources.append(Source(own, (slugs,), None, (1.0,)))
    return Sample([[Reading(value, value, value)]], tuple(sources))


def test_pairs_of_several_of_both_kinds_are_crossed():
    pairs = [sample(vit, resnet) for vit in "ab" for resnet in "xyz"]
    assert crossed(pairs) == [[[0, 1, 2], [3, 4, 5]], [[0, 3], [1, 4], [2, 5]]]
    assert crossed(pairs[:4]) == [[[0, 1, 2], [3]], [[0, 3], [1], [2]]], "some are missing"
    together = [sample(f"{vit}+{resnet}") for vit in "ab" for resnet in "xy"]
    assert crossed(together) == [[[0, 1], [2, 3]], [[0, 2], [1, 3]]], "pairs of one seed each"


def test_of_one_kind_each_case_is_an_architecture():
    assert crossed([sample("a"), sample("b"), sample("c")]) == [[[0], [1], [2]]]
    assert crossed([sample("a", "x"), sample("b", "x")]) == [[[0], [1]]]
    assert crossed([sample("a", "x")]) == []


def test_what_goes_together_counts_once():
    """A twin of each network, or the same network on fewer images."""
    assert crossed([sample("a", "a_gap"), sample("b", "b_gap")]) == [[[0], [1]]]
    assert crossed([sample("a+a/f010"), sample("b+b/f010")]) == [[[0], [1]]]
    twins = [sample(vit, f"{vit}_gap", resnet) for vit in "ab" for resnet in "xy"]
    assert crossed(twins) == [[[0, 1], [2, 3]], [[0, 2], [1, 3]]]


def test_a_network_on_fewer_images_is_another_one():
    cases = [sample("a", "x"), sample("a", "x/f030"), sample("b", "x"), sample("b", "x/f030")]
    assert crossed(cases) == [[[0, 1], [2, 3]], [[0, 2], [1, 3]]]


def test_cases_of_the_same_networks_are_drawn_by_themselves():
    tasks = [sample("a", resnet) for resnet in "xy" for _ in range(2)]
    assert crossed(tasks) == [[[0], [1], [2], [3]]]
    assert crossed([sample("a"), sample("a", "x"), sample("b", "x")]) == [[[0], [1], [2]]]


def test_each_kind_adds_the_variance_of_its_means():
    """2 × 2 pairs of networks that are known without error: effects of 1 and 3, and of 0 and .4."""
    values = {("a", "x"): 1.0, ("a", "y"): 0.6, ("b", "x"): 3.0, ("b", "y"): 2.6}
    cases = [[(1.0, sample(*names, value=value))] for names, value in values.items()]
    found = pooled(cases, 0, None)
    assert found.estimate.value == rounded(1.8, **MEANS) and found.architectures == 2
    assert found.estimate.variances.round(12).tolist() == [0.0, 2.0 / 2, 0.08 / 2]
    assert found.estimate.freedoms[1:].tolist() == [1, 1]
    assert found.held.variances.shape == (3,) and found.of_seeds == ()
    assert pooled([], 0, None) is None and pooled(cases[:1], 0, None).architectures == 0
