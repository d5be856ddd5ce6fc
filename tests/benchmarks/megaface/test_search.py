"""The search in blocks keeps exactly what loops keep, also where float32 cannot tell."""

import contextlib
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.benchmarks.megaface import search
from pocketface.benchmarks.megaface.nearest import DEPTH, NearestDistractors
from pocketface.benchmarks.megaface.search import Observer, Search
from pocketface.embedding.unit import unit


class Everything:
    """A keeper that wants every comparison from a floor of its own on."""

    def __init__(self, probes, floor=-np.inf):
        self.floor = np.full(probes, floor)
        self.found = {}

    def floors(self):
        return self.floor

    def keep(self, probe, distractor, similarity):
        for key in zip(probe.tolist(), distractor.tolist(), strict=True):
            assert key not in self.found
        self.found |= dict(
            zip(
                zip(probe.tolist(), distractor.tolist(), strict=True),
                similarity.tolist(),
                strict=True,
            )
        )


def plain(probes, distractors):
    others = unit(distractors)
    return np.array([[float(np.sum(probe * other)) for other in others] for probe in probes])


def drawn(seed, kind, probes=7, distractors=90):
    """Probes as unit vectors, and distractors that are far apart, equal, or all but equal."""
    generator = np.random.default_rng(seed)
    left = unit(generator.standard_normal((probes, 6)))
    if kind == "apart":
        return left, generator.standard_normal((distractors, 6))
    if kind == "equal":
        rows = np.rint(generator.standard_normal((distractors, 6)) * 0.7)
        rows[~rows.any(axis=1)] = 1
        return left, rows
    base = generator.standard_normal(6)
    return left, base + 1e-9 * generator.standard_normal((distractors, 6))


KINDS = st.sampled_from(["apart", "equal", "all but equal"])


def small_blocks(patch):
    for name, value in (
        ("_SCORES_AT_ONCE", 7 * 9),
        ("_ROWS", 3),
        ("_FIRST_BLOCK", 2),
        ("_SETTLE_AT", 10),
    ):
        patch.setattr(search, name, value)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), KINDS, st.booleans(), st.sampled_from([1, 2, 5]))
def test_the_nearest_are_those_of_loops_to_the_last_bit(seed, kind, small, workers):
    probes, distractors = drawn(seed, kind)
    keeper = NearestDistractors(len(probes))
    chosen = np.random.default_rng(seed).permutation(90)[:70]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "blas_threads", lambda: workers)
        if small:
            small_blocks(patch)
        Search(probes, distractors, [Observer(keeper, np.arange(7))]).run(chosen)
    everything = plain(probes, distractors)
    wanted = -np.sort(-everything[:, chosen], axis=1)[:, :DEPTH]
    np.testing.assert_array_equal(keeper.similarity, wanted)
    for probe in range(7):
        assert len(set(keeper.distractor[probe].tolist())) == DEPTH
        assert set(keeper.distractor[probe].tolist()) <= set(chosen.tolist())
    np.testing.assert_array_equal(
        np.take_along_axis(everything, keeper.distractor, axis=1), keeper.similarity
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), KINDS, st.sampled_from([1, 2, 5]), st.data())
def test_each_observer_sees_its_own_part(seed, kind, workers, data):
    """Other probes, other distractors, floors that lie exactly on a comparison."""
    probes, distractors = drawn(seed, kind)
    everything = plain(probes, distractors)
    ignored = np.random.default_rng(seed).random(90) < 0.3
    floor = float(everything[data.draw(st.integers(0, 6)), data.draw(st.integers(0, 89))])
    rows = np.array([5, 0, 2])
    first, second = Everything(3, floor), Everything(7)
    second.floor[:] = np.sort(everything, axis=1)[:, 40]
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch)
        patch.setattr(search, "blas_threads", lambda: workers)
        Search(
            probes, distractors, [Observer(first, rows, ignored), Observer(second, np.arange(7))]
        ).run(np.arange(90))
    assert first.found == {
        (place, d): everything[row, d]
        for place, row in enumerate(rows.tolist())
        for d in range(90)
        if not ignored[d] and everything[row, d] >= floor
    }
    assert second.found == {
        (p, d): everything[p, d]
        for p in range(7)
        for d in range(90)
        if everything[p, d] >= second.floor[p]
    }


def test_blocks_that_are_under_way_together_do_not_mix(monkeypatch):
    """Two blocks are multiplied before either of them is looked through."""
    probes, distractors = drawn(5, "apart")
    small_blocks(monkeypatch)
    monkeypatch.setattr(search, "blas_threads", lambda: 2)
    together = threading.Barrier(2)
    met = []
    products = search.quick_products

    def multiply(left, right, out):
        products(left, right, out)
        if len(left) == 9:  # a whole block; the first, small ones come one by one
            with contextlib.suppress(threading.BrokenBarrierError):
                met.append(together.wait(timeout=10))

    monkeypatch.setattr(search, "quick_products", multiply)
    keeper = NearestDistractors(7)
    # 2, 2, 4, 8, and then whole blocks of 9, an even number of them.
    Search(probes, distractors, [Observer(keeper, np.arange(7))]).run(np.arange(16 + 8 * 9))
    assert len(met) == 8
    wanted = -np.sort(-plain(probes, distractors)[:, : 16 + 8 * 9], axis=1)[:, :DEPTH]
    np.testing.assert_array_equal(keeper.similarity, wanted)


def test_a_second_run_goes_on_where_the_first_ended():
    probes, distractors = drawn(3, "apart")
    whole, parts = NearestDistractors(7), NearestDistractors(7)
    Search(probes, distractors, [Observer(whole, np.arange(7))]).run(np.arange(90))
    for chosen in (np.arange(4), np.arange(50, 90), np.arange(4, 50)):
        Search(probes, distractors, [Observer(parts, np.arange(7))]).run(chosen)
    np.testing.assert_array_equal(whole.similarity, parts.similarity)
    fewer = NearestDistractors(7)
    Search(probes, distractors, [Observer(fewer, np.arange(7))]).run(np.arange(3))
    assert (fewer.similarity[:, 3:] == -np.inf).all()
    assert (fewer.distractor[:, 3:] == -1).all()


@pytest.mark.parametrize("kind", ["apart", "equal"])
def test_among_many_distractors_few_are_looked_at_and_none_is_missed(monkeypatch, kind):
    probes, distractors = drawn(4, kind, probes=5, distractors=8000)
    monkeypatch.setattr(search, "_SCORES_AT_ONCE", 5 * 512)
    compared = []
    similarities = search.similarities
    monkeypatch.setattr(
        search, "similarities", lambda a, b: compared.append(len(a)) or similarities(a, b)
    )
    keeper = NearestDistractors(5)
    Search(probes, distractors, [Observer(keeper, np.arange(5))]).run(np.arange(8000))
    wanted = -np.sort(-plain(probes, distractors), axis=1)[:, :DEPTH]
    np.testing.assert_array_equal(keeper.similarity, wanted)
    if kind == "apart":
        assert sum(compared) < 8000 * 5 / 20
