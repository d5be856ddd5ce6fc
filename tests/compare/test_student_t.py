"""Student's t against SciPy, and against what is known of it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pocketface.compare.student_t import bound_within, probability_within, two_sided_p

FREEDOM = [*range(1, 31), 50, 101, 998]


@pytest.mark.parametrize("freedom", FREEDOM)
def test_the_distribution_is_scipys(freedom):
    for bound in (0.0, 1e-3, 0.3, 1.0, 2.0, 4.3, 12.7, 100.0):
        expected = stats.t.cdf(bound, freedom) - stats.t.cdf(-bound, freedom)
        assert probability_within(bound, freedom) == pytest.approx(expected, abs=1e-13)
        assert two_sided_p(-bound, freedom) == pytest.approx(
            2 * stats.t.sf(bound, freedom), abs=1e-13
        )


@pytest.mark.parametrize("freedom", FREEDOM)
@pytest.mark.parametrize("level", [0.1, 0.5, 0.9, 0.95, 0.99, 0.999])
def test_the_bound_is_scipys(freedom, level):
    expected = stats.t.ppf((1 + level) / 2, freedom)
    assert bound_within(level, freedom) == pytest.approx(expected, rel=1e-11)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 200))
def test_more_is_within_a_wider_bound(one, two, freedom):
    low, high = sorted((one, two))
    assert 0 <= probability_within(low, freedom) <= probability_within(high, freedom) + 1e-15 <= 1.1


def test_the_tables_first_rows():
    assert bound_within(0.95, 1) == pytest.approx(12.7062, abs=1e-4)
    assert bound_within(0.95, 2) == pytest.approx(4.3027, abs=1e-4)
    assert bound_within(0.95, 4) == pytest.approx(2.7764, abs=1e-4)


@pytest.mark.parametrize(("bound", "freedom"), [(1.0, 0), (-1.0, 3), (math.nan, 3)])
def test_what_is_no_question(bound, freedom):
    with pytest.raises(ValueError, match="needs freedom"):
        probability_within(bound, freedom)


@pytest.mark.parametrize("level", [0.0, 1.0, 1.5])
def test_what_is_no_level(level):
    with pytest.raises(ValueError, match="between 0 and 1"):
        bound_within(level, 3)
