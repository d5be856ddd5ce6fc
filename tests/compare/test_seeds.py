"""Means, paired differences, Holm's correction and verdicts, against loops and SciPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pocketface.compare.seeds import (
    Spread,
    holm,
    p_value,
    seeds_needed,
    spread_of,
    verdict,
)

FIGURES = st.lists(st.floats(-1, 1).map(lambda x: round(x, 4)), min_size=3, max_size=12)


@given(FIGURES)
def test_mean_deviation_and_interval_against_a_loop(values):
    count = len(values)
    mean = sum(values) / count
    squares = 0.0
    for value in values:
        squares += (value - mean) ** 2
    sd = math.sqrt(squares / (count - 1))
    found = spread_of(values)
    assert found.seeds == count
    assert found.mean == pytest.approx(mean, abs=1e-12)
    assert found.sd == pytest.approx(sd, abs=1e-9)
    if sd > 1e-9:
        low, high = stats.t.interval(0.95, count - 1, mean, sd / math.sqrt(count))
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@given(FIGURES, st.integers(0, 2**32 - 1))
def test_the_p_value_is_that_of_the_paired_t_test(values, seed):
    others = np.random.default_rng(seed).normal(0, 0.1, len(values))
    difference = spread_of([a - b for a, b in zip(values, others, strict=True)])
    expected = stats.ttest_rel(values, others).pvalue
    assert p_value(difference) == pytest.approx(expected, abs=1e-9)
    assert difference.low is not None
    assert difference.high is not None
    if abs(expected - 0.05) > 1e-6:
        assert (expected < 0.05) == (not difference.low <= 0 <= difference.high)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8))
def test_holm_against_its_step_down_test(p_values):
    """Rejecting at any level is what Holm's procedure does at that level."""
    corrected = holm(p_values)
    known = [p for p in p_values if p is not None]
    assert [c is None for c in corrected] == [p is None for p in p_values]
    for level in (0.01, 0.05, 0.2):
        rejected = []
        for rank, p in enumerate(sorted(known)):
            if p * (len(known) - rank) > level:
                break
            rejected.append(p)
        ours = sorted(
            p for p, c in zip(p_values, corrected, strict=True) if c is not None and c <= level
        )
        assert ours == rejected


def test_holm_on_an_example():
    assert holm([0.01, 0.04, None, 0.03]) == pytest.approx([0.03, 0.06, None, 0.06])
    assert holm([]) == []


def test_few_seeds_say_nothing():
    assert spread_of([0.3]) == Spread(0.3, None, 1, None, None)
    two = spread_of([0.1, 0.12])
    assert two.low is not None
    assert p_value(two) is None
    assert verdict(two, None, None) == "too few seeds"


def test_equal_differences_have_no_interval_unless_they_are_none():
    equal = spread_of([0.1 + 0.2, 0.3, 0.3])
    assert (equal.sd, equal.low, equal.high) == (0.0, None, None)
    assert p_value(equal) is None
    same = spread_of([0.0, 0.0, 0.0])
    assert (same.low, same.high) == (0, 0)
    assert p_value(same) == 1
    assert verdict(same, 1.0, (0.0, 0.0)) == "noise"
    assert seeds_needed(same) is None


@pytest.mark.parametrize(
    ("mean", "corrected", "people", "expected"),
    [
        (0.02, 0.01, (0.01, 0.03), "higher"),
        (-0.02, 0.01, (-0.03, -0.01), "lower"),
        (0.02, 0.01, None, "higher"),
        (0.02, 0.01, (-0.01, 0.03), "these people only"),
        (0.02, 0.05, (0.01, 0.03), "noise"),
        (0.02, 0.4, None, "noise"),
    ],
)
def test_verdicts(mean, corrected, people, expected):
    assert verdict(Spread(mean, 0.01, 5, 0.0, 0.0), corrected, people) == expected


@given(st.floats(0.05, 5.0))
def test_the_seeds_needed_are_the_fewest_that_would_do(ratio):
    counts = np.arange(3, 1001)
    halves = stats.t.ppf(0.975, counts - 1) / np.sqrt(counts)
    enough = counts[halves < ratio]
    expected = int(enough[0]) if len(enough) else None
    assert seeds_needed(Spread(ratio, 1.0, 3, None, None)) == expected
