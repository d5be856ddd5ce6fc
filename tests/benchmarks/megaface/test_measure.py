"""MegaFace's figures against loops over every pair, and what must not change them."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.benchmarks.megaface.measure import Comparison, measure, person_draws
from pocketface.embedding.unit import unit

FARS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


def draw(seed, *, people=4, each=3, distractors=60, dimension=5, ties=False, dtype=np.float32):
    """A small comparison; with `ties` the features lie on a coarse grid and repeat."""
    generator = np.random.default_rng(seed)
    person = generator.permutation(np.repeat(np.arange(people), each))
    centres = generator.standard_normal((people, dimension))
    probes = centres[person] + 0.6 * generator.standard_normal((len(person), dimension))
    others = generator.standard_normal((distractors, dimension))
    if ties:
        probes, others = np.rint(1.2 * probes), np.rint(1.2 * others)
        others[: len(probes) // 2] = probes[: len(probes) // 2]
        probes[~probes.any(axis=1)] = 1
        others[~others.any(axis=1)] = 1
    noisy = np.zeros(len(person), np.bool_)
    noisy[np.flatnonzero(person == 1)[0]] = True
    wrong = np.zeros(distractors, np.bool_)
    wrong[generator.choice(distractors, 3, replace=False)] = True
    small = generator.choice(distractors, 10, replace=False)
    return Comparison(
        probes=probes.astype(dtype),
        person=person,
        distractors=others.astype(dtype),
        chosen={10: small, distractors: np.arange(distractors)},
        protocols=("raw", "refined"),
        noisy_probes=noisy,
        noisy_distractors=wrong,
    )


def loops(comparison, name, weights):
    """The figures for `weights` of the people, from one pair at a time.

    Gives {size: rates of the ranks 1 to 10} and {far: (TAR, impostor pairs accepted)}.
    """
    probes, others = list(unit(comparison.probes)), list(unit(comparison.distractors))
    person = comparison.person
    if name == "refined":
        clean = list(probes)
        for row in np.flatnonzero(comparison.noisy_probes):
            own = (person == person[row]) & ~comparison.noisy_probes
            total = [math.fsum(column) for column in np.array(probes)[own].T]
            clean[row] = unit(np.array([total]))[0]
        probes = clean

    def similarity(a, b):
        return float(np.sum(a * b))

    def used(chosen):
        return [d for d in chosen if name == "raw" or not comparison.noisy_distractors[d]]

    pairs = [
        (i, j)
        for i in range(len(probes))
        for j in range(len(probes))
        if i != j and person[i] == person[j]
    ]
    cmc = {}
    for size, chosen in comparison.chosen.items():
        rates = np.zeros(10)
        for i, j in pairs:
            best = sorted((similarity(probes[j], others[d]) for d in used(chosen)), reverse=True)
            for rank in range(10):
                reached = rank >= len(best) or similarity(probes[i], probes[j]) >= best[rank]
                rates[rank] += weights[person[j]] * reached
        cmc[size] = rates / sum(weights[person[j]] for _, j in pairs)
    impostors = [
        (similarity(probes[j], others[d]), weights[person[j]])
        for j in range(len(probes))
        for d in used(comparison.chosen[max(comparison.chosen)])
    ]
    total = sum(weight for _, weight in impostors)
    points = {}
    for far in FARS:
        # Try every similarity as the highest one that is rejected.
        best = None
        for threshold in sorted({value for value, _ in impostors}, reverse=True):
            accepted = sum(weight for value, weight in impostors if value > threshold)
            if accepted / total <= far:
                best = threshold
        tar = sum(
            weights[person[j]] for i, j in pairs if similarity(probes[i], probes[j]) > best
        ) / sum(weights[person[j]] for _, j in pairs)
        points[far] = (tar, sum(value > best for value, _ in impostors))
    return cmc, points


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_the_figures_are_those_of_loops_with_and_without_ties(seed, ties):
    comparison = draw(seed, ties=ties)
    found = measure(comparison, replicates=0, generator=np.random.default_rng(0))
    assert [figures.name for figures in found] == ["raw", "refined"]
    for figures in found:
        cmc, points = loops(comparison, figures.name, np.ones(4))
        assert {size: values[0].tolist() for size, values in figures.cmc.items()} == {
            size: values.tolist() for size, values in cmc.items()
        }
        fars = [far for far in FARS if far * figures.impostors >= 1]
        assert [point.far for point in figures.points] == fars
        for point in figures.points:
            assert (point.tar[0], point.accepted) == points[point.far]


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_every_replicate_is_the_loops_with_the_draws_as_weights(seed, ties):
    comparison = draw(seed, ties=ties, distractors=100)
    found = measure(comparison, replicates=4, generator=np.random.default_rng(seed))
    draws = person_draws(4, 4, np.random.default_rng(seed))
    for figures in found:
        for number, weights in enumerate(draws):
            cmc, points = loops(comparison, figures.name, weights)
            for size, values in figures.cmc.items():
                np.testing.assert_allclose(values[number], cmc[size], rtol=1e-12)
            for point in figures.points:
                np.testing.assert_allclose(point.tar[number], points[point.far][0], rtol=1e-12)
