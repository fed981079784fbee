"""How often a verdict on a class of public networks would be wrong, were architectures pooled.

    python benchmarks/public_architectures.py

Simulated are statistics of n ViTs and m CNNs with public weights, one run each, of classes that do
not differ: a verdict that they do is wrong. They are additive, so that ViT i and CNN j differ by
a_i − b_j, without error over images. Each rate is the largest over five ratios of the two classes'
spreads, of 10,000 draws. Below, what differences are found of networks that are drawn by
themselves and normal, and what the reference results of imagenette_zoo say of these assumptions.
docs/decisions/public_networks.md has the conclusion. A few CPU seconds.
"""

import csv
import math
from pathlib import Path

import numpy as np
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT / "results" / "reference" / "imagenette_zoo" / "claim_cases.csv"
DRAWS = 10_000
SIZES = ((2, 4), (3, 3), (4, 4), (6, 6), (8, 8))
RATIOS = ((1.0, 1.0), (3.0, 1.0), (1.0, 3.0), (1.0, 0.1), (0.1, 1.0))
"""Standard deviations of the ViTs and of the CNNs."""
WITHIN = 0.25
"""Standard deviation within a group, where a population has groups that are 2 apart."""
VITS = ("ViT-Ti/16", "ViT-S/14 (saliency)")
FAMILIES = (("ResNet-50", "ResNet-18"), ("EfficientNet-Lite0", "MobileNetV2"))


def normal(random, count):
    """Drawn by themselves."""
    return random.normal(size=(count, DRAWS))


def two_groups(random, count):
    """Half of all networks lie on one side, half on the other."""
    side = random.choice([-1.0, 1.0], size=(count, DRAWS))
    return _scaled(side + WITHIN * normal(random, count))


def one_in_five(random, count):
    """One of five lies apart, four times as far from the mean as the others."""
    far = random.random((count, DRAWS)) < 0.2
    return _scaled(np.where(far, -2.0, 0.5) + WITHIN * normal(random, count))


def families(random, count):
    """Normal, in twos of one recipe or design, which have half of the variance in common."""
    shared = np.repeat(normal(random, -(-count // 2)), 2, axis=0)[:count]
    return math.sqrt(0.5) * (shared + normal(random, count))


def _scaled(values):
    return values / math.sqrt(1 + WITHIN**2)


def half_widths(vits, cnns):
    """By rule: half the width of the 95 % interval of the difference [draws]."""
    (n, m), tail = (len(vits), len(cnns)), 0.975
    pairs = (vits[:, None] - cnns[None]).reshape(n * m, -1).var(axis=0, ddof=1) / (n * m)
    own, others = vits.var(axis=0, ddof=1) / n, cnns.var(axis=0, ddof=1) / m
    freedom = (own + others) ** 2 / (own**2 / (n - 1) + others**2 / (m - 1))
    squares = stats.t.ppf(tail, n - 1) ** 2 * own + stats.t.ppf(tail, m - 1) ** 2 * others
    return {
        "pairs": stats.t.ppf(tail, n * m - 1) * np.sqrt(pairs),
        "Satterthwaite": stats.t.ppf(tail, freedom) * np.sqrt(own + others),
        "squares": np.sqrt(squares),
    }


def decisive(random, population, size, spreads, effect=0.0):
    """By rule: the share of draws whose interval leaves out 0."""
    vits, cnns = (sd * population(random, count) for sd, count in zip(spreads, size, strict=True))
    difference = effect + vits.mean(axis=0) - cnns.mean(axis=0)
    halves = half_widths(vits, cnns)
    return {rule: float((np.abs(difference) > half).mean()) for rule, half in halves.items()}


def wrong():
    """Print the rates of wrong decisive verdicts."""
    random = np.random.default_rng(0)
    print("wrong decisive verdicts, % (largest of five ratios of spreads)")
    for population in (normal, two_groups, one_in_five, families):
        print(f"  {population.__name__}: {population.__doc__}")
        for size in SIZES:
            found = [decisive(random, population, size, spreads) for spreads in RATIOS]
            most = {rule: max(one[rule] for one in found) for rule in found[0]}
            told = ", ".join(f"{rule} {100 * rate:.1f}" for rule, rate in most.items())
            print(f"    {size[0]} × {size[1]}: {told}")


def found_of_normal():
    """Print what differences are found, by squares of half widths."""
    random = np.random.default_rng(1)
    print("differences found, %, of 2, 4 and 8 standard deviations between networks (squares)")
    for size in ((2, 2), *SIZES):
        rates = [decisive(random, normal, size, (1, 1), effect)["squares"] for effect in (2, 4, 8)]
        print(f"    {size[0]} × {size[1]}: {', '.join(f'{100 * rate:.0f}' for rate in rates)}")


def measured():
    """Print what the reference results say: whether networks are alone, and of one group."""
    values: dict = {}
    outcomes: dict = {}
    with CASES.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key, case = (row["claim"], row["criterion"]), tuple(row["case"].split(" × "))
            values.setdefault(key, {})[case] = float(row["value"])
            outcomes.setdefault(key, {})[case] = row["outcome"]
    shares = [share for key, own in values.items() if (share := alike(key, own)) is not None]
    above = sum(share > 0 for share in shares)
    print(
        f"correlation of the CNNs of one design (intraclass): mean {np.mean(shares):.2f} of "
        f"{len(shares)} criteria, above 0 in {above}"
    )
    both = [[own.get((vit,)) for vit in VITS] for own in outcomes.values()]
    clear = [pair for pair in both if {*pair} <= {"holds", "fails"}]
    apart = sum(len({*pair}) > 1 for pair in clear)
    print(f"criteria that are clear of either ViT: {len(clear)}, opposite for {apart}")


def alike(key, own):
    """Intraclass correlation of the CNNs of a design, of their means over the ViTs.

    None where a criterion is not of all four CNNs, and where these are equal.
    """
    vits = [vit for vit in VITS if any(case[0] == vit for case in own)]
    if any((vit, cnn) not in own for vit in vits for names in FAMILIES for cnn in names):
        return None
    write = math.log if key[0] == "C15" else float  # a ratio
    means = np.array(
        [[np.mean([write(own[vit, cnn]) for vit in vits]) for cnn in names] for names in FAMILIES]
    )
    between = 2 * means.mean(axis=1).var(ddof=1)
    within = means.var(axis=1, ddof=1).mean()
    return (between - within) / (between + within) if between + within > 0 and vits else None


if __name__ == "__main__":
    wrong()
    found_of_normal()
    measured()
