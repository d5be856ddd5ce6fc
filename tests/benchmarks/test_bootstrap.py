import numpy as np
import pytest

from pocketface.benchmarks.bootstrap import interval, pair_weights, person_weights


def test_person_weights_are_products_of_the_peoples_draws():
    left, right = np.array([7, 7, 9, 4]), np.array([7, 9, 4, 4])
    generator = np.random.default_rng(0)
    found = list(person_weights(left, right, 50, np.random.default_rng(0)))
    assert len(found) == 50
    for weights in found:
        drawn = generator.integers(3, size=3)  # people 4, 7, 9 as 0, 1, 2
        times = {person: int((drawn == number).sum()) for number, person in enumerate((4, 7, 9))}
        assert weights.tolist() == [times[7], times[7] * times[9], times[9] * times[4], times[4]]


def test_pair_weights_draw_as_many_pairs_as_there_are():
    for weights in pair_weights(20, 30, np.random.default_rng(0)):
        assert weights.sum() == 20
        assert weights.shape == (20,)


def test_the_seed_decides_the_weights():
    people = np.arange(10)
    twice = [
        np.array(list(person_weights(people, people[::-1], 5, np.random.default_rng(seed))))
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(twice[0], twice[1])
    assert (twice[0] != twice[2]).any()


def test_shared_people_widen_the_interval_of_a_mean():
    """10 people, every pair of two: pairs are far from independent."""
    people = np.arange(10)
    left, right = np.triu_indices(10, 1)
    effect = np.random.default_rng(3).standard_normal(10)
    values = effect[left] + effect[right]
    over_people = [
        np.average(values, weights=weights)
        for weights in person_weights(people[left], people[right], 400, np.random.default_rng(0))
    ]
    over_pairs = [
        np.average(values, weights=weights)
        for weights in pair_weights(len(values), 400, np.random.default_rng(0))
    ]
    assert np.std(over_people) > 1.5 * np.std(over_pairs)


def test_the_interval_is_central_and_leaves_out_what_is_not_finite():
    values = np.append(np.arange(101.0), [np.nan, np.inf])
    assert interval(values, 0.9) == pytest.approx((5.0, 95.0))
    assert interval(np.array([np.nan, np.nan])) is None
