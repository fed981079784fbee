"""Claim C6b on made-up attention distances before and after fine-tuning."""

import numpy as np
import pandas as pd
import pytest

from tests.claims.making_evidence import (
    MEANS,
    TRAINED,
    make_evidence,
    of,
    values,
    verdict,
    with_replicates,
)
from tests.rounding import rounded

BLOCKS, HEADS = 6, 4
BEFORE = np.linspace(0.2, 1.0, BLOCKS * HEADS).reshape(BLOCKS, HEADS)
OUTER = [0, 1, 4, 5]
"""The two lowest and the two highest blocks."""


def tuned(change, task="toys", domain="in", spread=0.0):
    """Heads that look further by `change` [blocks, heads] than before, every other one less far."""
    rows = [
        of(TRAINED[0])
        | {"task": task, "domain": domain, "block": b, "head": h}
        | {"before": BEFORE[b, h], "after": BEFORE[b, h] + (-1) ** h * change[b, h]}
        for b, h in np.ndindex(BLOCKS, HEADS)
    ]
    return with_replicates(rows, "after", spread)


def local(nearest=0.2):
    rows = [
        of(TRAINED[0]) | {"block": b, "head": h, "relative": max(BEFORE[b, h], nearest)}
        for b, h in np.ndindex(BLOCKS, HEADS)
    ]
    return with_replicates(rows, "relative")


def judged(tmp_path, *tables, nearest=0.2):
    own = {"tuned_attention.parquet": pd.concat(tables)}
    own["attention_replicates.parquet"] = local(nearest)
    return verdict("C6b", make_evidence(tmp_path, own))


def test_c6b_is_the_mean_change_without_sign_of_the_outer_blocks(tmp_path):
    change = np.full((BLOCKS, HEADS), 0.05)
    change[[2, 3]] = 0.9
    change[0, 0] = 0.25
    found = judged(tmp_path, tuned(change))
    assert values(found) == rounded([0.05 + 0.2 / (HEADS * len(OUTER))], **MEANS)
    assert found.word.startswith("holds")


def test_c6b_is_of_the_task_that_changes_most_among_those_in_the_domain(tmp_path):
    tables = [
        tuned(np.full((BLOCKS, HEADS), 0.02)),
        tuned(np.full((BLOCKS, HEADS), 0.3), "cars"),
        tuned(np.full((BLOCKS, HEADS), 0.6), "weeds", "out"),
    ]
    found = judged(tmp_path, *tables)
    assert values(found) == rounded([0.3], **MEANS)
    assert found.word == "does not hold"


def test_heads_that_were_never_local_cannot_stay_local(tmp_path):
    found = judged(tmp_path, tuned(np.full((BLOCKS, HEADS), 0.01)), nearest=0.8)
    assert found.word == "out of reach" and "most local head of VIT looks 0.8" in found.because


@pytest.mark.parametrize("table", ["none", "out"])
def test_c6b_needs_a_tuned_vit_and_a_task_in_the_domain(tmp_path, table):
    own = tuned(np.zeros((BLOCKS, HEADS)), domain="out")
    why = {"none": "among the models that a task", "out": "a task under transfer of domain in"}
    found = judged(tmp_path, own if table == "out" else own[:0])
    assert found.word == "not run" and why[table] in found.because
