"""Claim C5b on made-up maps of class token and spatial tokens."""

import numpy as np

from tests.claims.making_evidence import (
    MEANS,
    SLUGS,
    check_words,
    make_evidence,
    replicates,
    values,
    verdict,
    vit_layers,
)
from tests.rounding import rounded

BLOCKS = 6
LAYERS = vit_layers(BLOCKS)
OUTS = LAYERS.loc[LAYERS["kind"] == "residual", "layer"].to_numpy()
START = OUTS[3]
"""Block 3 of 6, at depth .6: the last below two thirds."""


def tables(trained, untrained, wide):
    """Maps in which the class token, or the spatial tokens, are far from their final form."""
    maps = {}
    for slug, holds in zip((SLUGS[0], SLUGS[2]), (trained, untrained), strict=True):
        for tokens, kept in (("spatial", 0.9), ("cls", 0.6)):
            other = {0.9: 0.6, 0.6: 0.9}[kept]
            own = np.full((len(LAYERS), len(LAYERS)), 0.5)
            own[START, OUTS[-1]] = own[OUTS[-1], START] = kept if holds else other
            spread = 0.1 * (wide and tokens == "cls" and slug == SLUGS[0])
            maps[f"{tokens}|{slug}|{slug}"] = replicates(own, spread)
    return {"token_cka_replicates.safetensors": maps, "layers.csv": LAYERS}


def test_c5b(tmp_path):
    check_words(tmp_path, "C5b", tables)


def test_c5b_is_of_the_last_block_below_two_thirds_of_the_depth(tmp_path):
    found = verdict("C5b", make_evidence(tmp_path, tables(True, False, False)))
    assert values(found) == rounded([0.3], **MEANS | {"dtype": np.float32})


def test_c5b_needs_the_tokens_apart(tmp_path):
    own = tables(True, False, False)
    del own["token_cka_replicates.safetensors"]["cls|vit/f100/s0|vit/f100/s0"]
    found = verdict("C5b", make_evidence(tmp_path, own))
    assert found.word == "not run" and "no CKA of the cls tokens of vit/f100/s0" in found.because
