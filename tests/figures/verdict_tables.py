"""Synthetic tables of other tasks, of the estimator and of verdicts, as their stages write them."""

import pandas as pd

from sightlines.plan.networks import Network
from sightlines.results.selecting import settings
from sightlines.results.tables import required

TASKS = {"near": "in", "far": "out"}
GROUPS = 8
NAN = float("nan")


def tuned_networks(config):
    """First network on all images of each ViT with a class token and of each ResNet."""
    full = [Network.parse(s) for s in config["networks"] if "/f100/" in s]
    first = {n.model: n for n in reversed(full)}
    return [n for n in reversed(first.values()) if settings(config, n.model).get("pool") != "gap"]


def finetuning(config, blocks=5, tasks=None):
    """The higher the block, and the farther the task, the less a network stays what it was."""
    rows = []
    for place, (task, domain) in enumerate((tasks or TASKS).items()):
        for network in tuned_networks(config):
            for left_out in range(-1, GROUPS):
                for block in range(blocks):
                    depth = block / (blocks - 1)
                    value = 1 - (0.1 + 0.3 * place) * depth + 0.004 * (left_out + 1) * depth
                    rows.append((*network, task, domain, block, depth, value, left_out))
    return pd.DataFrame(rows, columns=required("finetuning.parquet"))


def tuned_accuracy(config, tasks=None):
    rows = [
        (*network, task, domain, 0.71 - 0.2 * place, 0.1)
        for place, (task, domain) in enumerate((tasks or TASKS).items())
        for network in tuned_networks(config)
    ]
    return pd.DataFrame(rows, columns=required("tuned_accuracy.csv"))


def attention_replicates(distances):
    """Rows of attention_distance.csv, for all images and with each group left out."""
    own = distances[[*Network._fields, "block", "head", "relative"]]
    parts = [
        own.assign(relative=own["relative"] + 0.001 * (g + 1), left_out=g)
        for g in range(-1, GROUPS)
    ]
    return pd.concat(parts, ignore_index=True)


def tuned_attention(config, distances):
    """The farther the task, the farther its heads look after fine-tuning."""
    own = distances[[*Network._fields, "block", "head", "relative", "uniform_px"]]
    own = own.rename(columns={"relative": "before"})
    rows = pd.DataFrame(tuned_networks(config), columns=Network._fields)
    own = own.merge(rows, on=list(Network._fields))
    parts = [
        own.assign(task=task, domain=domain, after=own["before"] + 0.1 * place, left_out=g)
        for place, (task, domain) in enumerate(TASKS.items())
        for g in range(-1, GROUPS)
    ]
    return pd.concat(parts, ignore_index=True)


def estimator(config):
    rows = []
    for slug in config["networks"]:
        if "/f100/" in slug:
            network = Network.parse(slug)
            rows += [(*network, "batch_size", f"{n} images", 0.3 / n, -1) for n in (128, 64)]
            rows += [(*network, "noise_floor", f"{n} images", 2 / n, -1) for n in (128, 64)]
            rows += [(*network, "image_source", "near", 0.97, -1)]
    return pd.DataFrame(rows, columns=required("estimator.csv"))


def claims(drawn="fig01_cka_within"):
    """One claim of every verdict; the fifth was not run, the sixth has no figure on the page."""
    words = ("holds, learned", "does not hold", "undecided", "holds at initialisation", "not run")
    rows = []
    for place, word in enumerate((*words, "holds, learned")):
        is_run = word != "not run"
        rows.append(
            {
                "claim": f"C{place + 1}",
                "study": "raghu2021",
                "figure": f"Figure {place + 1}",
                "tier": "AB"[place % 2],
                "title": f"Title number {place + 1}",
                "statement": f"Statement number {place + 1}.",
                "verdict": word,
                "in_this_run": "",
                "because": f"because of {word}",
                "statistic": "Mean CKA.",
                "deciding": "ViT-S: mean CKA" if is_run else "",
                "value": 0.613 if is_run else None,
                "low": 0.507 if is_run else None,
                "high": 0.719 if is_run else None,
                "level": (0.975 if word == "undecided" else 0.95) if is_run else None,
                "over": "images and seeds" if is_run else "",
                "seeds": "3 of ViT-S" if is_run else "",
                "threshold": "mean CKA > 0.5",
                "reason": "half-way",
                "control": 0.311 if place < 2 else None,
                "controls": "untrained",
                "difference": 0.302 if place < 2 else None,
                "difference_low": 0.201 if place < 2 else None,
                "difference_high": 0.403 if place < 2 else None,
                "p": 0.012 * (place + 1) if is_run else None,
                "q": 0.034 * (place + 1) if is_run else None,
                "detectable": 0.2 if is_run else None,
                "seeds_needed": 7.0 if word == "undecided" else None,
                "paper_value": "0.8",
                "source": "[fig]",
                "amended": "",
                "verdict_before": "",
                "depends_on": "depends on the seed (s1): holds in 3 of 4 ways"
                if place == 0
                else "",
                "other_criteria": "",
                "stands_under": "linear, rbf; not under procrustes" if place == 0 else "",
                "drawn": (drawn, "fig_not_drawn")[place == 5] if is_run else "",
            }
        )
    return pd.DataFrame(rows)


def claim_cases():
    nan = float("nan")
    both, seeds = "images and seeds", "3 of ViT-S"
    rows = [
        ("C1", "ViT-S", "mean CKA", 0.613, 0.507, 0.719, both, seeds, "> 0.5", "holds"),
        ("C2", "ViT-L", "mean CKA", 0.401, 0.303, 0.489, both, seeds, "> 0.5", "fails"),
        ("C3", "ViT-L", "mean CKA", nan, nan, 0.7, "images", "1 of ViT-L", "> 0.5", "unclear"),
    ]
    controls = [(0.311, False, 0.302, 0.201, 0.403), (None,) * 5, (None,) * 5]
    whole = [(*row, *own) for row, own in zip(rows, controls, strict=True)]
    return pd.DataFrame(whole, columns=required("claim_cases.csv"))


def seed_calibration(seeds=3):
    """Statistics of which the third is decisive by images and seeds, all but one by images."""
    rows = [
        (f"C{n}", "x", "ViT-S", seeds, f"vit/f100/s{seed}", 0.4, 0.1, 0.2, ratio, 5 * ratio, 4.9)
        for n, ratios in enumerate(([0.1, 0.3, 0.5], [0.2, 0.4, 0.9], [1.5, 0.7, 0.6]))
        for seed, ratio in enumerate(ratios[:seeds])
    ]
    return pd.DataFrame(rows, columns=required("seed_calibration.csv"))


def specifications():
    """One claim on similarity with all its choices, one on probes with two thresholds."""
    rows = []
    for place, (index, layers, tokens, minibatch, seed) in enumerate(
        [
            ("linear", "all sub-layers", "all tokens", "64 images", "s0"),
            ("linear", "block outputs", "all tokens", "64 images", "s0"),
            ("linear", "all sub-layers", "without class token", "64 images", "s0"),
            ("linear", "all sub-layers", "all tokens", "32 images", "s0"),
            ("linear", "all sub-layers", "all tokens", "64 images", "s1"),
            *(
                (index, "block outputs", "all tokens", "64 images", "s0")
                for index in ("deconfounded", "without_top", "rbf", "procrustes", "neighbours")
            ),
        ]
    ):
        value = 0.1 * place - 0.2
        outcome = "fails" if value < -0.05 else "unclear" if value < 0.05 else "holds"
        choice = (index, layers, tokens, minibatch, "", seed)
        ends = (value, value - 0.05, value + 0.05)
        rows.append(
            ("C1", "ViT-S × ResNet", "LH(ViT) − LH(ResNet)", *choice, *ends, "≥ 0", outcome)
        )
    for images, value in (("all images", 0.01), ("10 a class", -0.05)):
        ends, choice = (value, value - 0.02, value + 0.02), ("", "", "", "", images, "s0")
        for needed, outcome in (
            ("≥ -0.03", "holds" if value > 0 else "unclear"),
            ("≤ 0.03", "holds"),
        ):
            rows.append(("C24", "ViT-S", "CLS;CLS − GAP;GAP", *choice, *ends, needed, outcome))
    return pd.DataFrame(rows, columns=required("specifications.csv"))
