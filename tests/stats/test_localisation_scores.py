import numpy as np

from sightlines.stats import localisation_scores as scores


def test_interior_border_and_corners():
    assert np.flatnonzero(scores.interior((3, 4))).tolist() == [5, 6]
    assert scores.interior((2, 5)).all() and scores.border((2, 5)).all()
    assert scores.corners((3, 4)) == [0, 3, 8, 11] and scores.corners((1, 3)) == [0, 2]


def test_tied_patches_do_not_push_the_own_patch_down():
    maps = np.array([[[1.0, 1, 0], [1, 0, 0], [2, 1, 3]]])
    assert scores.ranks(maps).tolist() == [[1, 2, 1]]
    assert np.isnan(scores.z_scores(np.ones((1, 3, 3)))).all()
