import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.benchmarks.ijb import scores as scores_module
from pocketface.benchmarks.ijb.scores import TemplateScores, exact_similarity, rounding_bound
from pocketface.benchmarks.ijb.template_pairs import DuplicatePairError, PairTable
from pocketface.benchmarks.ijb.verification import FARS, curve, nearest_points


def draw(seed, templates=30, pairs=200, size=8, copies=0):
    """Unit templates (some the same), and pairs of them, mostly of two people."""
    generator = np.random.default_rng(seed)
    units = generator.standard_normal((templates, size)).astype(np.float32)
    if copies:
        units = units[generator.integers(copies, size=templates)]
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    left, right = np.triu_indices(templates, 1)
    chosen = generator.permutation(len(left))[:pairs]
    left, right = left[chosen], right[chosen]
    turned = generator.random(len(chosen)) < 0.5
    left, right = np.where(turned, right, left), np.where(turned, left, right)
    same = generator.random(len(chosen)) < 0.2
    same[:2] = True, False
    return units, left, right, same


def score(units, left, right, same):
    return TemplateScores(PairTable.build(left, right, same, len(units)), units)


def exact(a, b):
    """The product in one plain order that numpy's own summation also takes."""
    return float((a.astype(np.float64) * b.astype(np.float64)).sum())


def point_by_loops(units, left, right, same, far):
    """Every point of the ROC as (impostors accepted, TAR); the nearest, the larger TAR on ties."""
    values = [exact(units[i], units[j]) for i, j in zip(left, right, strict=True)]
    genuine = [v for v, s in zip(values, same, strict=True) if s]
    impostor = [v for v, s in zip(values, same, strict=True) if not s]
    points = [(0, 0.0)]
    for threshold in sorted(set(values), reverse=True):
        accepted = sum(v >= threshold for v in impostor)
        points.append((accepted, sum(v >= threshold for v in genuine) / len(genuine)))
    wanted = Fraction(far)
    return min(points, key=lambda p: (abs(Fraction(p[0], len(impostor)) - wanted), -p[1], -p[0]))


@pytest.mark.parametrize("copies", [0, 4, 1])
@pytest.mark.parametrize("seed", range(12))
def test_tar_is_that_of_plain_loops_over_every_point(seed, copies):
    """With few different templates most scores are ties, also between the two kinds."""
    drawn = draw(seed, copies=copies)
    fars = (*FARS, "0.05", "0.5", "0.25", "1")
    found = nearest_points(score(*drawn), fars)
    for far in fars:
        accepted, tar = point_by_loops(*drawn, far)
        assert (found[far].accepted, found[far].tar) == (accepted, tar), far


@pytest.mark.parametrize("seed", range(8))
def test_the_threshold_of_a_point_accepts_what_the_point_says(seed):
    units, left, right, same = drawn = draw(seed, copies=12 * (seed % 2))
    values = np.array([exact(units[i], units[j]) for i, j in zip(left, right, strict=True)])
    for point in (*nearest_points(score(*drawn)).values(), *curve(score(*drawn))):
        if point.similarity is None:
            assert values[~same].max() >= 1
            continue
        accepts = values >= point.similarity
        if point.accepted == (~same).sum():
            continue  # everything; -1 lies below every score up to rounding
        assert accepts[~same].sum() == point.accepted
        assert accepts[same].mean() == point.tar


def test_half_way_between_two_rates_takes_the_larger_tar():
    """Impostors score 3, 1, 1 of 4 ways: FAR 1/3 or 1; wanted 2/3 is as near to both."""
    units = np.eye(4, dtype=np.float32)
    units[1] = [0.6, 0.8, 0, 0]
    left, right = np.array([0, 0, 0, 1]), np.array([1, 2, 3, 3])
    same = np.array([False, False, False, True])
    found = nearest_points(score(units, left, right, same), ("0.3333", "0.6666", "0.6667"))
    assert {far: point.accepted for far, point in found.items()} == {
        "0.3333": 1,
        "0.6666": 1,
        "0.6667": 3,
    }
    # Exactly half way: 4 impostors, 1 accepted or 3; a FAR of 0.5.
    units = np.eye(6, dtype=np.float32)
    units[1] = [0.6, 0.8, 0, 0, 0, 0]
    units[2] = units[3] = [0.28, 0, 0.96, 0, 0, 0]
    left, right = np.array([0, 0, 0, 0, 4]), np.array([1, 2, 3, 4, 5])
    same = np.array([False, False, False, False, True])
    point = nearest_points(score(units, left, right, same), ("0.5",))["0.5"]
    assert point.accepted == 3


def test_wrong_32_bit_scores_change_nothing(monkeypatch):
    """Scores anywhere within the bound give the same figures: those that decide are exact."""
    drawn = draw(5, templates=60, pairs=1500, size=16)
    wanted = nearest_points(score(*drawn)), curve(score(*drawn))
    quick = scores_module.quick_similarity
    generator = np.random.default_rng(0)
    bound = rounding_bound(16)

    def wrong(units, pairs):
        result = quick(units, pairs)
        result += (0.9 * bound * generator.choice([-1, 1], len(result))).astype(np.float32)
        return result

    monkeypatch.setattr(scores_module, "quick_similarity", wrong)
    assert (nearest_points(score(*drawn)), curve(score(*drawn))) == wanted


@pytest.mark.parametrize("sparse", [1, 64, 10**9])
@pytest.mark.parametrize("strip", [40, 1 << 22])
def test_quick_scores_are_within_their_bound(monkeypatch, sparse, strip):
    """Strips that are computed whole, and pairs one by one."""
    monkeypatch.setattr(scores_module, "_SPARSE", sparse)
    monkeypatch.setattr(scores_module, "_STRIP", strip)
    units, left, right, same = draw(3, templates=50, pairs=700, size=32)
    pairs = PairTable.build(left, right, same, 50)
    placed = units[pairs.order]
    found = scores_module.quick_similarity(placed, pairs)
    wanted = exact_similarity(placed, *pairs.pair_places(slice(None)))
    assert np.abs(found - wanted).max() <= rounding_bound(32)


def test_the_bound_holds_for_long_vectors():
    generator = np.random.default_rng(0)
    units = np.abs(generator.standard_normal((300, 512))).astype(np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    left, right = np.triu_indices(300, 1)
    wanted = exact_similarity(units, left, right)
    assert np.abs((units @ units.T)[left, right] - wanted).max() <= rounding_bound(512)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_order_of_pairs_and_names_of_templates_change_no_figure(seed):
    units, left, right, same = drawn = draw(seed, copies=10 * (seed % 2))
    wanted = nearest_points(score(*drawn)), curve(score(*drawn))
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(left))
    renamed = generator.permutation(len(units))
    moved = np.empty_like(units)
    moved[renamed] = units
    again = score(moved, renamed[right[order]], renamed[left[order]], same[order])
    assert (nearest_points(again), curve(again)) == wanted


def test_impostor_ranks_are_those_of_a_sorted_list():
    units, left, right, same = drawn = draw(9, copies=9)
    values = sorted(
        (exact(units[i], units[j]) for i, j, s in zip(left, right, same, strict=True) if not s),
        reverse=True,
    )
    found = score(*drawn)
    for rank in range(1, len(values) + 1):
        value = values[rank - 1]
        assert found.impostor(rank) == (
            value,
            sum(v > value for v in values),
            sum(v >= value for v in values),
        )
    with pytest.raises(ValueError, match="no rank 0"):
        found.impostor(0)


def test_the_top_impostors_are_the_largest():
    units, left, right, same = drawn = draw(4)
    found = score(*drawn)
    chosen, similarity = found.top_impostors(7)
    values = sorted(
        (exact(units[i], units[j]) for i, j, s in zip(left, right, same, strict=True) if not s),
        reverse=True,
    )
    np.testing.assert_allclose(similarity, values[:7], atol=rounding_bound(8))
    assert not found.pairs.same(chosen).any()
    rows = found.pairs.pair_rows(chosen)
    np.testing.assert_allclose(exact_similarity(units, *rows), values[:7])


def test_a_pair_table_keeps_every_pair_and_puts_first_templates_first():
    left, right = np.array([5, 3, 5, 1]), np.array([0, 2, 4, 2])
    same = np.array([True, False, False, True])
    pairs = PairTable.build(left, right, same, 6)
    assert set(pairs.order[:3].tolist()) == {1, 3, 5}
    found = {
        (*sorted(map(int, two)), bool(kind))
        for *two, kind in zip(*pairs.pair_rows(slice(None)), pairs.same(slice(None)), strict=True)
    }
    assert found == {(0, 5, True), (2, 3, False), (4, 5, False), (1, 2, True)}
    assert pairs.genuine().tolist() == np.flatnonzero(pairs.same(slice(None))).tolist()
    assert len(pairs) == 4


@pytest.mark.parametrize("again", [(1, 2, True), (2, 1, True), (1, 2, False)])
def test_a_pair_that_stands_twice_is_refused(again):
    left, right = np.array([0, 1, 3, again[0]]), np.array([1, 2, 4, again[1]])
    same = np.array([False, True, True, again[2]])
    with pytest.raises(DuplicatePairError) as error:
        PairTable.build(left, right, same, 5)
    assert {error.value.left, error.value.right} == {1, 2}


def test_the_curve_begins_with_none_and_ends_with_all():
    found = score(*draw(2))
    points = curve(found)
    assert points[0].accepted == 0
    assert (points[-1].accepted, points[-1].tar) == (found.impostors, 1.0)
    assert [p.accepted for p in points] == sorted({p.accepted for p in points})
    assert math.isclose(points[-1].similarity, -1, abs_tol=1) or points[-1].similarity < 1


@pytest.mark.parametrize("templates", [2, 3, 4, 5, 1 << 15, (1 << 15) + 1, 70_000])
def test_keys_of_32_and_of_64_bits_hold_the_same_pairs(templates):
    """Up to 2^15 templates a pair takes 32 bits; the last templates have the largest numbers."""
    generator = np.random.default_rng(templates)
    rows = np.unique(np.append(generator.integers(templates, size=40), [0, templates - 1]))
    left, right = (rows[side] for side in np.triu_indices(len(rows), 1))
    left, right = np.where(left % 2, left, right), np.where(left % 2, right, left)
    same = generator.random(len(left)) < 0.5
    pairs = PairTable.build(left, right, same, templates)
    assert pairs.keys.dtype == (np.uint32 if templates <= 1 << 15 else np.uint64)
    assert (pairs.keys[1:] > pairs.keys[:-1]).all()
    found = zip(*pairs.pair_rows(slice(None)), pairs.same(slice(None)), strict=True)
    wanted = {(*sorted(two), s) for *two, s in zip(left, right, same, strict=True)}
    assert {(*sorted(two), s) for *two, s in found} == wanted
    first = pairs.pair_places(slice(None))[0]
    places = np.append(first, [0, templates - 1, templates, templates + 1000])
    assert pairs.begins(places).tolist() == [int((first < place).sum()) for place in places]
    units = np.zeros((templates, 4), np.float32)
    units[rows] = generator.standard_normal((len(rows), 4))
    quick = scores_module.quick_similarity(units[pairs.order], pairs)
    exact = exact_similarity(units, *pairs.pair_rows(slice(None)))
    np.testing.assert_allclose(quick, exact, atol=1e-5)


def test_ranks_are_found_however_deep_they_are_asked_for():
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 700, 5000).astype(np.float32)
    scores[generator.permutation(5000)[:1000]] = -np.inf
    ordered = sorted(scores.tolist(), reverse=True)[:4000]
    for start in (1, 900, 4000):
        ranks = scores_module._Ranks(scores, 4000)
        for rank in (start, 1, 2, 1400, 1000, 4000):
            assert ranks.score(rank) == ordered[rank - 1]
        fresh = scores_module._Ranks(scores, 4000)
        for value in (699.0, 350.5, 350.0, 0.0, -1.0, np.inf):
            assert fresh.reaching(value) == sum(score >= value for score in ordered)
    for value in ordered[::40]:  # some of which are the lowest that are sorted at first, and ties
        fresh = scores_module._Ranks(scores, 4000)
        assert fresh.reaching(value) == sum(score >= value for score in ordered)
