import numpy as np
import pytest

from pocketface.benchmarks.ijb import intervals
from pocketface.benchmarks.ijb.identities import identities
from pocketface.benchmarks.ijb.intervals import draws, tar_replicates
from pocketface.benchmarks.ijb.scores import TemplateScores
from pocketface.benchmarks.ijb.template_pairs import PairTable

FARS = (0.003, 0.05, 0.3)


def draw(seed, people=12, templates=40, size=6):
    """Templates of people, all compared with all."""
    generator = np.random.default_rng(seed)
    person = generator.integers(people, size=templates)
    units = generator.standard_normal((people, size))[person]
    units = units + 0.8 * generator.standard_normal(units.shape)
    units = (units / np.linalg.norm(units, axis=1, keepdims=True)).astype(np.float32)
    left, right = np.triu_indices(templates, 1)
    pairs = PairTable.build(left, right, person[left] == person[right], templates)
    return person, TemplateScores(pairs, units)


def components_by_search(left, right, count):
    """Each node's component by walking its neighbours."""
    neighbours = {node: set() for node in range(count)}
    for a, b in zip(left.tolist(), right.tolist(), strict=True):
        neighbours[a].add(b)
        neighbours[b].add(a)
    found = {}
    for node in range(count):
        waiting = [node]
        while waiting:
            at = waiting.pop()
            if at not in found:
                found[at] = node
                waiting += neighbours[at]
    return [found[node] for node in range(count)]


@pytest.mark.parametrize("seed", range(10))
def test_identities_are_connected_components(seed):
    generator = np.random.default_rng(seed)
    left, right = np.triu_indices(60, 1)
    chosen = generator.permutation(len(left))[:45]
    left, right = left[chosen], right[chosen]
    same = generator.random(45) < 0.8
    pairs = PairTable.build(left, right, same, 60)
    wanted = components_by_search(left[same], right[same], 60)
    found = identities(pairs)
    by_row = np.empty(60, np.int64)
    by_row[pairs.order] = found
    assert len({*zip(by_row.tolist(), wanted, strict=True)}) == len(set(wanted))
    assert len(set(by_row.tolist())) == len(set(wanted))
    assert sorted(set(found.tolist())) == list(range(len(set(wanted))))


def test_a_long_chain_is_one_identity():
    order = np.random.default_rng(0).permutation(500)
    pairs = PairTable.build(order[:-1], order[1:], np.ones(499, bool), 500)
    assert (identities(pairs) == 0).all()


def tar_by_loops(scores, weight, identity, far):
    """Each pair as often as its people were drawn; every threshold in turn."""
    pairs = scores.pairs
    left, right = pairs.pair_places(slice(None))
    same = pairs.same(slice(None))
    a, b = weight[identity[left]], weight[identity[right]]
    counts = np.where(same, a, a * b)
    similarity = scores.quick.astype(np.float64)
    similarity[scores.genuine_pairs] = scores.genuine
    impostors, genuine = counts[~same].sum(), counts[same].sum()
    points = [(0.0, 0.0)]
    for threshold in sorted(set(similarity.tolist()), reverse=True):
        accepts = similarity >= threshold
        points.append((counts[accepts & ~same].sum(), counts[accepts & same].sum() / genuine))
    return min(points, key=lambda p: (abs(p[0] - far * impostors), -p[1]))[1]


@pytest.mark.parametrize("strip", [3, 256])
@pytest.mark.parametrize("seed", range(4))
def test_replicates_are_those_of_plain_loops(monkeypatch, seed, strip):
    monkeypatch.setattr(intervals, "_STRIP", strip)
    _, scores = draw(seed)
    identity = identities(scores.pairs)
    found = tar_replicates(scores, identity, FARS, 6, np.random.default_rng(seed))
    weights = draws(int(identity.max()) + 1, 6, np.random.default_rng(seed))
    for row, weight in zip(found, weights, strict=True):
        wanted = [tar_by_loops(scores, weight.astype(float), identity, far) for far in FARS]
        assert row.tolist() == pytest.approx(wanted)


def test_a_head_that_is_too_short_grows(monkeypatch):
    _, scores = draw(1)
    identity = identities(scores.pairs)
    wanted = tar_replicates(scores, identity, FARS, 20, np.random.default_rng(0))
    real, asked = scores.top_impostors, []

    def short(count):
        asked.append(count)
        return real(count if len(asked) > 1 else 5)

    monkeypatch.setattr(scores, "top_impostors", short)
    found = tar_replicates(scores, identity, FARS, 20, np.random.default_rng(0))
    np.testing.assert_array_equal(found, wanted)
    assert len(asked) > 2


def test_drawing_nobody_twice_gives_the_figure_itself(monkeypatch):
    _, scores = draw(2)
    monkeypatch.setattr(
        intervals, "draws", lambda people, replicates, _: np.ones((replicates, people), np.float32)
    )
    from pocketface.benchmarks.ijb.verification import nearest_points

    found = tar_replicates(scores, identities(scores.pairs), FARS, 2, np.random.default_rng(0))
    points = nearest_points(scores, [str(far) for far in FARS])
    assert found.tolist() == [[points[str(far)].tar for far in FARS]] * 2


def test_draws_are_as_many_as_there_are_identities():
    found = draws(7, 50, np.random.default_rng(0))
    assert (found.sum(axis=1) == 7).all()
    assert found.std() > 0.5


def test_a_replicate_without_pairs_of_a_kind_has_no_figure():
    """Two people: a replicate that draws one of them twice has no pair of two people."""
    units = np.eye(4, dtype=np.float32)
    left, right = np.array([0, 2, 0]), np.array([1, 3, 2])
    pairs = PairTable.build(left, right, np.array([True, True, False]), 4)
    found = tar_replicates(
        TemplateScores(pairs, units), identities(pairs), (0.5,), 40, np.random.default_rng(0)
    )
    missing = np.isnan(found[:, 0])
    weights = draws(2, 40, np.random.default_rng(0))
    assert missing.tolist() == (weights.min(axis=1) == 0).tolist()
    assert 5 < missing.sum() < 35
