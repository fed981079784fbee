import numpy as np
import pytest

from sightlines.stats import localisation_scores as scores


def test_interior_border_and_corners():
    assert np.flatnonzero(scores.interior((3, 4))).tolist() == [5, 6]
    assert scores.interior((2, 5)).all() and scores.border((2, 5)).all()
    assert scores.corners((3, 4)) == [0, 3, 8, 11] and scores.corners((1, 3)) == [0, 2]


def test_tied_patches_do_not_push_the_own_patch_down():
    maps = np.array([[[1.0, 1, 0], [1, 0, 0], [2, 1, 3]]])
    assert scores.ranks(maps).tolist() == [[1, 2, 1]]
    assert np.isnan(scores.z_scores(np.ones((1, 3, 3)))).all()


def peaks(tokens, height, seed=0):
    """Maps in which the own patch is so many standard deviations above unrelated others."""
    maps = np.random.default_rng(seed).standard_normal((60, tokens, tokens))
    maps[:, np.arange(tokens), np.arange(tokens)] = height
    return maps


@pytest.mark.parametrize("tokens", [16, 64, 196])
def test_the_effect_of_an_own_patch_is_the_same_on_every_grid(tokens):
    """Where z is bounded by the number of patches, and falls short of it on a coarse grid."""
    maps, all_tokens = peaks(tokens, 6.0), np.ones(tokens, bool)
    effects = scores.effect_size(maps, all_tokens)
    error = effects.std(ddof=1) / np.sqrt(len(effects))
    assert abs(effects.mean() - 6.0) < 4 * error + 0.02
    z = scores.z_scores(maps)
    assert z.max() < np.sqrt(tokens - 1)
    assert (z.mean() < 4) == (tokens == 16)


@pytest.mark.parametrize("tokens", [16, 49, 196])
def test_the_effect_of_one_token_follows_from_its_z(tokens):
    """So that the paper's z can be read on this scale."""
    maps = peaks(tokens, 5.0)
    one = np.arange(tokens) == tokens // 2
    z, n = scores.z_scores(maps)[:, tokens // 2], tokens
    expected = z * np.sqrt(n * (n - 2) / ((n - 1) * (n - 1 - z**2)))
    np.testing.assert_allclose(scores.effect_size(maps, one), expected, rtol=1e-9)


def test_effects_are_nothing_where_the_own_patch_is_like_the_others_and_leave_out_undefined():
    all_tokens = np.ones(64, bool)
    maps = np.random.default_rng(1).standard_normal((60, 64, 64))
    assert abs(scores.effect_size(maps, all_tokens).mean()) < 0.1
    maps = peaks(16, 5.0)
    dead = maps.copy()
    dead[:, 3], dead[:, :, 7] = np.nan, np.nan
    kept = np.delete(np.delete(maps, [3, 7], axis=1), [7], axis=2)
    row, column = np.arange(14), np.delete(np.arange(15), 3)
    others = kept.copy()
    others[:, row, column] = np.nan
    ahead = (kept[:, row, column] - np.nanmean(others, axis=2)).mean(axis=1)
    expected = ahead / np.sqrt(np.nanvar(others, axis=2, ddof=1).mean(axis=1))
    found = scores.effect_size(dead, np.ones(16, bool))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.isnan(scores.effect_size(np.ones((1, 3, 3)), np.ones(3, bool))).all()
