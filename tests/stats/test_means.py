import numpy as np

from sightlines.stats.means import mean_of_finite, quotient


def test_a_quotient_is_undefined_where_nothing_is_divided_by():
    top, bottom = np.array([[6.0, 1.0], [4.0, 0.0]]), np.array([[2.0], [0.0]])
    found = quotient(top, bottom)
    assert found[0].tolist() == [3, 0.5] and np.isnan(found[1]).all()
    assert np.isnan(quotient(np.ones(2), np.array([-1.0, np.nan]))).all()


def test_what_is_not_finite_is_left_out_of_means():
    values = np.array([[1.0, np.nan, 3.0], [np.inf, np.nan, -np.inf], [2.0, 2.0, 5.0]])
    found = mean_of_finite(values)
    assert found[[0, 2]].tolist() == [2, 3] and np.isnan(found[1])
    assert mean_of_finite(values[0]) == 2
