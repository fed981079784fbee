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
    words = ("reproduced", "not reproduced", "inconclusive", "uninformative", "not run")
    rows = []
    for place, word in enumerate((*words, "reproduced")):
        is_run = word != "not run"
        rows.append(
            {
                "claim": f"C{place + 1}",
                "figure": f"Figure {place + 1}",
                "tier": "AB"[place % 2],
                "statement": f"Statement number {place + 1}.",
                "verdict": word,
                "because": f"because of {word}",
                "statistic": "Mean CKA.",
                "deciding": "ViT-S: mean CKA" if is_run else "",
                "value": 0.613 if is_run else None,
                "low": 0.507 if is_run else None,
                "high": 0.719 if is_run else None,
                "threshold": "mean CKA > 0.5",
                "reason": "half-way",
                "control": 0.311 if place < 2 else None,
                "controls": "untrained",
                "paper_value": "0.8",
                "source": "[fig]",
                "amended": "",
                "verdict_before": "",
                "other_criteria": "",
                "stands_under": "linear, rbf; not under procrustes" if place == 0 else "",
                "drawn": (drawn, "fig_not_drawn")[place == 5] if is_run else "",
            }
        )
    return pd.DataFrame(rows)


def claim_cases():
    rows = [
        ("C1", "ViT-S", "mean CKA", 0.613, 0.507, 0.719, "> 0.5", "holds", 0.311, False),
        ("C2", "ViT-L", "mean CKA", 0.401, 0.303, 0.489, "> 0.5", "fails", None, None),
        (
            "C3",
            "ViT-L",
            "mean CKA",
            float("nan"),
            float("nan"),
            0.7,
            "> 0.5",
            "unclear",
            None,
            None,
        ),
    ]
    return pd.DataFrame(rows, columns=required("claim_cases.csv"))
