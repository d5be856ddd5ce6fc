"""The curve over all pairs against plain loops over thresholds and pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.benchmarks.roc import RocTally
from pocketface.errors import DataError


def draw_scores(seed, pairs=60, decimals=1):
    """Similarities with many ties."""
    generator = np.random.default_rng(seed)
    same = generator.random(pairs) < 0.4
    same[:2] = [True, False]
    scores = np.clip(np.where(same, 0.5, 0.1) + 0.3 * generator.standard_normal(pairs), -1, 0.9)
    return scores.round(decimals), same


def loop_area(scores, same):
    wins = 0.0
    for genuine in scores[same]:
        for impostor in scores[~same]:
            wins += 1.0 if genuine > impostor else 0.5 if genuine == impostor else 0.0
    return wins / (same.sum() * (~same).sum())


def loop_tar_at(scores, same, far):
    """The best TAR of any threshold whose FAR does not exceed `far`."""
    best = 0.0
    for threshold in [*scores, np.inf]:
        if (scores[~same] >= threshold).mean() <= far:
            best = max(best, (scores[same] >= threshold).mean())
    return best


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 12]))
def test_area_and_tar_equal_the_loops(seed, decimals):
    scores, same = draw_scores(seed, decimals=decimals)
    curve = RocTally(scores, same).curve()
    assert curve.area() == pytest.approx(loop_area(scores, same), abs=1e-12)
    for far in (0.0, 1e-3, 1 / 36, 0.1, 0.5, 1.0):
        assert curve.tar_at(far) == pytest.approx(loop_tar_at(scores, same, far), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 12]), st.sampled_from([0.01, 0.1, 0.3]))
def test_the_threshold_gives_the_rates_of_its_point(seed, decimals, far):
    scores, same = draw_scores(seed, decimals=decimals)
    curve = RocTally(scores, same).curve()
    index = curve.index_at(far)
    threshold = curve.threshold_at(index)
    assert threshold is not None
    assert (scores[~same] >= threshold).mean() == pytest.approx(curve.far[index], abs=1e-15)
    assert (scores[same] >= threshold).mean() == pytest.approx(curve.tar[index], abs=1e-15)
    assert (scores[~same] >= threshold).mean() <= far


def test_the_equal_error_rate_lies_where_the_rates_cross():
    """1 of 4 impostors beats 1 of 4 genuine pairs: both rates are 1/4 between 0.5 and 0.6."""
    scores = np.array([0.9, 0.8, 0.7, 0.4, 0.5, 0.2, 0.1, 0.0])
    same = np.array([1, 1, 1, 0, 1, 0, 0, 0], dtype=bool)
    scores[[3, 4]] = 0.6, 0.5
    assert RocTally(scores, same).curve().equal_error_rate() == pytest.approx(0.25)


def test_the_equal_error_rate_is_interpolated():
    """The points (0, 0), (1/2, 1/4), (1, 1): FAR = 1 - TAR where x = 1 - (1/4 + 3/2 (x - 1/2))."""
    scores = np.array([0.5, 0.5, 0.1, 0.1, 0.1, 0.1])
    same = np.array([False, True, False, True, True, True])
    assert RocTally(scores, same).curve().equal_error_rate() == pytest.approx(0.6)


@pytest.mark.parametrize(("scores", "area", "error"), [([1, 0], 1.0, 0.0), ([0, 1], 0.0, 1.0)])
def test_perfect_and_reversed_scores(scores, area, error):
    curve = RocTally(np.array(scores, float), np.array([True, False])).curve()
    assert curve.area() == area
    assert curve.equal_error_rate() == error


def test_equal_scores_tell_nothing():
    curve = RocTally(np.zeros(10), np.arange(10) < 4).curve()
    assert curve.area() == 0.5
    assert curve.equal_error_rate() == 0.5
    assert curve.tar_at(0.1) == 0.0


def test_an_impostor_of_similarity_one_leaves_no_threshold():
    curve = RocTally(np.array([1.0, 1.0, 0.5]), np.array([True, False, False])).curve()
    assert curve.threshold_at(curve.index_at(0.1)) is None
    assert curve.threshold_at(curve.index_at(1.0)) == -1.0


def test_the_threshold_lies_midway_and_never_on_a_rejected_score():
    low, high = 0.5, float(np.nextafter(0.5, 1))
    curve = RocTally(np.array([high, low]), np.array([True, False])).curve()
    assert curve.threshold_at(1) == high
    curve = RocTally(np.array([0.75, 0.25]), np.array([True, False])).curve()
    assert curve.threshold_at(1) == 0.5
    assert curve.threshold_at(0) == 0.875


def test_weights_count_as_repeated_pairs():
    scores, same = draw_scores(4)
    weights = np.random.default_rng(2).integers(0, 4, len(scores)).astype(np.float64)
    weighted = RocTally(scores, same).curve(weights)
    repeats = weights.astype(int)
    plain = RocTally(np.repeat(scores, repeats), np.repeat(same, repeats)).curve()
    assert weighted.area() == pytest.approx(plain.area(), abs=1e-12)
    assert weighted.equal_error_rate() == pytest.approx(plain.equal_error_rate(), abs=1e-12)
    for far in (0.01, 0.1, 0.4):
        assert weighted.tar_at(far) == pytest.approx(plain.tar_at(far), abs=1e-12)


def test_a_replicate_without_impostors_has_no_figures():
    scores, same = draw_scores(4)
    curve = RocTally(scores, same).curve(same.astype(np.float64))
    assert np.isnan([curve.area(), curve.equal_error_rate(), curve.tar_at(0.1)]).all()


@pytest.mark.parametrize("kind", [True, False])
def test_pairs_of_one_kind_are_refused(kind):
    with pytest.raises(DataError, match="all 3 pairs are of"):
        RocTally(np.zeros(3), np.full(3, kind))
