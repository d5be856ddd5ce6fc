"""Exact intervals of rates against the beta distribution; warnings where few pairs pass."""

import math

import pytest
from scipy.stats import beta

from pocketface.benchmarks.margins import low_far_warning, rate_interval


def by_beta(count, total, level):
    tail = (1 - level) / 2
    low = beta.ppf(tail, count, total - count + 1) if count else 0.0
    high = beta.ppf(1 - tail, count + 1, total - count) if count < total else 1.0
    return low, high


@pytest.mark.parametrize("level", [0.95, 0.5])
@pytest.mark.parametrize(
    ("count", "total"),
    [(c, t) for t in (1, 2, 10, 300) for c in sorted({0, 1, t // 3, t - 1, t})]
    + [(0, 15_658_489), (1, 15_658_489), (15, 15_658_489), (1_565_848, 15_658_489)]
    + [(15_658_488, 15_658_489), (3_530, 3_530_000_000), (353_000_000, 3_530_000_000)],
)
def test_ends_are_quantiles_of_the_beta_distribution(count, total, level):
    assert rate_interval(count, total, level) == pytest.approx(
        by_beta(count, total, level), rel=1e-6, abs=0
    )


def test_a_count_that_cannot_be_is_refused():
    for count, total in ((-1, 5), (6, 5), (0, 0)):
        with pytest.raises(ValueError, match="0 <= count <= total"):
            rate_interval(count, total)


def test_the_warning_begins_below_ten_pairs():
    assert low_far_warning(1e-4, 10, 100_000) is None
    text = low_far_warning(1e-4, 9, 99_999)
    assert "rests on 9 of 99,999 pairs" in text
    low, high = rate_interval(9, 99_999)
    assert f"between {low:.2g} and {high:.2g}" in text
    assert math.isclose(low, by_beta(9, 99_999, 0.95)[0], rel_tol=1e-6)
