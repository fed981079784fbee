"""Which jobs a dry run names, and which ones what the files declare says that there must be."""

import re

from sightlines.plan import registry
from sightlines.plan.experiment import CLAIMS
from sightlines.plan.networks import as_initialised, is_on

EVERYTHING = "everything"


def planned(done):
    """Rule -> number of jobs, from the table that a dry run prints; nothing where it has none."""
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    if "Nothing to be done" in text:
        return {}
    table = re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)
    assert table, text
    return {rule: int(count) for rule, count in table if rule not in ("total", "all")}


def reasons(done):
    """Rule -> our own line about it."""
    lines = re.findall(r"^  (\w+) +\d+ jobs? +(.*)$", done.stdout + done.stderr, re.MULTILINE)
    return dict(lines)


def follow(experiment, networks=(), part="", names=(), changed=(), jobs=()):
    """Rule -> number of jobs after what changed, down to the report.

    Follows what every file says that it reads.

    Args:
        networks: Networks that are trained again.
        part: Part of the splits that is made again.
        names: Anything, where names in figures change.
        changed: Dumps or tables that are made again, with
        jobs: The jobs that make them.
    """
    jobs, changed = dict(jobs), set(changed)
    if part == "training":
        jobs["split_training"], part = 1, "probes"  # what probes may see depends on it
        networks = experiment.networks
    if part:
        jobs[f"split_{part}"] = 1
    if networks:
        jobs["train_network"] = len({as_initialised(n) for n in networks})
        if on := [n for n in networks if is_on(n)]:
            jobs["make_control"] = len(on)
    read = {r for m in experiment.measures for r in registry.declarations("measures", m)["READS"]}
    for kind in registry.members("dumps"):
        shown = experiment.dumped(kind) if kind in read else []
        again = registry.declarations("dumps", kind)["SPLITS"] == part
        if touched := [n for n in shown if again or n in networks]:
            jobs[f"dump_{kind}"] = len(touched)
            changed.add(kind)
    if part == "reference":
        jobs["dump_pixels"] = 1
        changed.add("pixels")
    if networks:
        changed |= {"history.csv", "card.json", "weights.safetensors"}
    judged = bool(names)
    for measure in experiment.measures:
        declared = registry.declarations("measures", measure)
        if changed & set(declared["READS"]) or f"measure_{measure}" in jobs:
            jobs[f"measure_{measure}"] = 1
            changed |= set(declared["TABLES"]) | set(declared.get("FILES", ()))
            judged = True
    if judged := judged or "judge_claims" in jobs:
        changed |= set(CLAIMS)
    for figure in experiment.figures:
        if names or changed & set(registry.declarations("figures", figure)["READS"]):
            jobs[f"draw_{figure}"] = 1
    return jobs | ({"judge_claims": 1} if judged else {}) | {"write_report": 1}


def everything(experiment):
    """All jobs, but the last rule that asks for them."""
    jobs = follow(experiment, part="training")
    jobs |= follow(experiment, part="reference")
    if "shape_bias" in experiment.measures:
        jobs |= follow(experiment, part="conflicts")
    return jobs | {"prepare_dataset": 1, "describe_dataset": 1}


def every(experiment, model=""):
    """Networks of one model, or of all."""
    return [n for n in experiment.networks if model in ("", n.model)]
