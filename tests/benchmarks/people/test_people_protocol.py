"""Which images of one's own people are compared, and how the search with strangers is measured."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketface.benchmarks.people.measure import (
    at_threshold,
    measure_pairs,
    measure_search,
    recommend,
    similarities,
)
from pocketface.benchmarks.people.protocol import plan
from pocketface.errors import DataError

counts = st.lists(st.integers(1, 7), min_size=2, max_size=9).filter(lambda each: max(each) > 1)


def labels_of(images, order=0):
    labels = np.repeat(np.arange(len(images)), images)
    return np.random.default_rng(order).permutation(labels)


def directions_of(people, dimension=6, noise=0.8, seed=1):
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((int(people.max()) + 1, dimension))
    rows = centres[people] + noise * generator.standard_normal((len(people), dimension))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(images=counts, seed=st.integers(0, 5), most=st.integers(2, 4))
def test_every_pair_is_what_it_says_and_of_one_person_all_are_there(images, seed, most):
    labels = labels_of(images)
    made = plan(labels, seed, images_per_person=most)
    assert np.array_equal(labels[made.rows], made.people)
    assert len(set(made.rows.tolist())) == len(made.rows)
    assert np.bincount(made.people).tolist() == [min(each, most) for each in images]
    pairs = [frozenset(pair) for pair in zip(made.left.tolist(), made.right.tolist(), strict=True)]
    assert len(set(pairs)) == len(pairs)
    every = {frozenset(pair) for pair in itertools.combinations(range(len(made.rows)), 2)}
    assert set(pairs) == every  # few enough that none of two people is left out
    for pair, same in zip(pairs, made.same.tolist(), strict=True):
        assert same == (len({int(made.people[i]) for i in pair}) == 1)


@given(images=counts, seed=st.integers(0, 5))
def test_nobody_is_searched_with_an_image_that_is_enrolled(images, seed):
    made = plan(labels_of(images), seed)
    several = {person for person, count in enumerate(images) if count > 1}
    if len(several) < 2:
        assert made.open_set is None
        return
    open_set = made.open_set
    enrolled = np.concatenate(open_set.enrolled).tolist()
    probes = open_set.probes.template.tolist()
    assert sorted(enrolled + probes) == list(range(len(made.rows)))
    a, b = (set(open_set.galleries[name].subject.tolist()) for name in "AB")
    assert not a & b
    assert a | b == several
    assert abs(len(a) - len(b)) <= 1
    assert several <= set(open_set.probes.subject.tolist())
    for gallery in open_set.galleries.values():
        for template, person in zip(gallery.template, gallery.subject, strict=True):
            inside = open_set.enrolled[template - len(made.rows)]
            assert set(made.people[inside].tolist()) == {person}
            assert len(inside) == min(images[person], 10) // 2


def test_the_same_seed_gives_the_same_protocol_and_another_another():
    labels = labels_of([4] * 30)
    one, two, other = plan(labels, 3), plan(labels, 3), plan(labels, 4)
    assert np.array_equal(one.left, two.left)
    assert np.array_equal(one.open_set.galleries["A"].subject, two.open_set.galleries["A"].subject)
    assert set(one.open_set.galleries["A"].subject) != set(other.open_set.galleries["A"].subject)


@pytest.mark.parametrize("images", [[5], [1, 1, 1], [1]])
def test_too_few_people_or_images_are_refused(images):
    with pytest.raises(DataError, match="at least two people, one of them with two images"):
        plan(labels_of(images), 0)


def test_similarities_and_rates_are_those_of_plain_loops():
    made = plan(labels_of([4] * 6 + [1] * 5), 0)
    directions = directions_of(made.people)
    scores = similarities(directions, made)
    for number in range(0, len(scores), 7):
        left, right = made.left[number], made.right[number]
        assert scores[number] == pytest.approx(float(directions[left] @ directions[right]))
    found = measure_pairs(scores, made, 0, 0)
    genuine, impostor = scores[made.same], scores[~made.same]
    wins = [(g > impostor).sum() + 0.5 * (g == impostor).sum() for g in genuine]
    assert found.auc.value == pytest.approx(np.mean(wins) / len(impostor))
    point = found.points[0]
    assert point.far == 0.01
    assert point.tar.value == pytest.approx((genuine >= point.similarity).mean())
    assert (impostor >= point.similarity).mean() <= 0.01
    assert point.measured_far.value == pytest.approx((impostor >= point.similarity).mean())


def test_the_search_is_that_of_plain_loops():
    made = plan(labels_of([4] * 6 + [1] * 9), 2)
    directions = directions_of(made.people, noise=1.2)
    open_set = made.open_set
    searches, measured = measure_search(open_set, directions, 0, 0)
    threshold = 0.5
    strangers = accepted = mated = hits = first = 0
    for name, gallery in open_set.galleries.items():
        templates = {}
        for number, person in zip(gallery.template, gallery.subject, strict=True):
            total = sum(directions[i] for i in open_set.enrolled[number - len(made.rows)])
            templates[int(person)] = total / np.linalg.norm(total)
        own = unknown = 0
        for image, person in zip(open_set.probes.template, open_set.probes.subject, strict=True):
            scores = {who: float(directions[image] @ each) for who, each in templates.items()}
            best = max(scores, key=scores.get)
            if int(person) in templates:
                own += 1
                first += best == int(person)
                hits += best == int(person) and scores[best] >= threshold
            else:
                unknown += 1
                accepted += scores[best] >= threshold
        assert measured.figures.mated[name] == own
        assert measured.figures.unmated[name] == unknown
        strangers, mated = strangers + unknown, mated + own
    fpir, tpir = at_threshold(searches, threshold)
    assert 0 < accepted < strangers  # the loops above decide something
    assert 0 < hits < mated
    assert fpir.value == pytest.approx(accepted / strangers)
    assert tpir.value == pytest.approx(hits / mated)
    assert fpir.low < fpir.value < fpir.high
    assert measured.figures.ranks[0].rate.value == pytest.approx(first / mated)


def test_intervals_hold_the_figures():
    made = plan(labels_of([3] * 12), 0)
    directions = directions_of(made.people, noise=1.0)
    found = measure_pairs(similarities(directions, made), made, 60, 0)
    assert found.auc.low <= found.auc.value <= found.auc.high
    assert found.eer.low < found.eer.high
    assert set(found.spread) == {"Area under ROC", "Equal error rate", "TAR at FAR 0.01"}


def test_a_threshold_is_recommended_where_the_pairs_allow_it_and_else_the_reason():
    made = plan(labels_of([4] * 8), 0)
    directions = directions_of(made.people)
    scores = similarities(directions, made)
    searches, measured = measure_search(made.open_set, directions, 0, 0)
    sizes = measured.figures.gallery_sizes
    found, silence = recommend(scores, made, 0.05, searches, sizes, replicates=50, seed=0)
    assert silence is None
    threshold = found.similarity.value
    assert found.similarity.low <= threshold <= found.similarity.high
    assert (scores[~made.same] >= threshold).mean() == pytest.approx(found.measured_far.value)
    assert found.measured_far.value <= 0.05
    assert found.tar == pytest.approx((scores[made.same] >= threshold).mean())
    assert found.gallery == 4
    assert (found.fpir, found.tpir) == at_threshold(searches, threshold)
    nothing, silence = recommend(scores, made, 1e-5, searches, sizes, replicates=0, seed=0)
    assert nothing is None
    assert "needs at least 100,000 pairs" in silence
    alone, _ = recommend(scores, made, 0.05, {}, {}, replicates=0, seed=0)
    assert (alone.fpir, alone.tpir, alone.gallery) == (None, None, None)
    assert alone.similarity.value == threshold
