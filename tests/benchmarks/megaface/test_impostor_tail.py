"""What the tail lets go of is never needed: against all impostor pairs, sorted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.benchmarks.megaface import impostor_tail
from pocketface.benchmarks.megaface.impostor_tail import ImpostorTail
from pocketface.benchmarks.megaface.measure import person_draws
from pocketface.benchmarks.megaface.verification import TailRanks, allowed, measurable_fars

FAR = 0.01


@pytest.fixture(autouse=True)
def prunes_often(monkeypatch):
    monkeypatch.setattr(impostor_tail, "_SMALLEST_PRUNING", 40)


def compare_all(seed, *, people, probes, distractors, replicates, levels):
    """All pairs in random parts through a tail; gives the tail, the pairs, and the weights."""
    generator = np.random.default_rng(seed)
    group = np.sort(np.append(np.arange(people), generator.integers(people, size=probes - people)))
    similarity = generator.standard_normal((probes, distractors))
    similarity += 2 * generator.standard_normal(people)[group][:, None]  # some people are alike
    if levels:
        similarity = np.rint(similarity * levels) / levels
    weights = person_draws(people, replicates, generator)
    totals = weights @ np.bincount(group, minlength=people) * distractors
    tail = ImpostorTail(group, weights, np.array([allowed(FAR, total) for total in totals], float))
    pairs = generator.permutation(probes * distractors)
    most = 0
    for part in np.array_split(pairs, 60):
        probe, distractor = part // distractors, part % distractors
        value = similarity[probe, distractor]
        kept = value >= tail.floors()[probe]
        if kept.any():
            tail.keep(probe[kept], distractor[kept], value[kept])
        most = max(most, len(tail.similarity))
    return tail, group, similarity, weights, totals, most


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0, 1, 4]), st.integers(1, 6))
def test_thresholds_and_counts_are_those_of_all_pairs(seed, levels, people):
    tail, group, similarity, weights, totals, most = compare_all(
        seed, people=people, probes=12, distractors=300, replicates=20, levels=levels
    )
    ranks = TailRanks(tail, group)
    assert most < similarity.size  # something was let go
    np.testing.assert_array_equal(similarity[tail.probe, tail.distractor], tail.similarity)
    for drawn, total in zip(weights, totals, strict=True):
        threshold = ranks.threshold(drawn, FAR, total)
        repeated = drawn[group][:, None] * np.ones(similarity.shape)
        above = repeated[similarity > threshold].sum()
        reached = repeated[similarity >= threshold].sum()
        assert above / total <= FAR < reached / total
    threshold = ranks.threshold(weights[0], FAR, totals[0])
    assert ranks.accepted(threshold) == (similarity > threshold).sum()


def test_many_equal_pairs_take_no_more_room_than_needed():
    tail, *_, most = compare_all(
        1, people=3, probes=12, distractors=2000, replicates=5, levels=0.01
    )
    assert set(np.abs(tail.similarity)) == {0.0}
    assert len(tail.similarity) < 24_000 / 10
    assert most < 24_000 / 5


def test_the_allowed_weight_is_the_largest_whose_share_is_not_above_the_rate():
    for far in (1e-6, 1e-5, 1e-3, 0.07, 0.29):
        for total in (1, 7, 100, 99_999, 100_000, 100_001, 3_530_000_000):
            weight = allowed(far, total)
            assert weight / total <= far < (weight + 1) / total
    assert allowed(1e-5, 100_000) == 1
    assert allowed(1e-6, 3_530_000_000) == 3530


def test_rates_are_measured_where_a_pair_may_pass_and_where_memory_allows():
    assert measurable_fars(3_530_000_000) == (1e-6, 1e-5)
    assert measurable_fars(99) == ()
    assert measurable_fars(100) == (1e-2,)
    assert measurable_fars(1_000_000) == (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
