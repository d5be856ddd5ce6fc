"""MegaFace's figures against loops over every pair, and what must not change them."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_megaface import FARS, loops

from pocketface.benchmarks.megaface import search
from pocketface.benchmarks.megaface.measure import Comparison, measure, person_draws
from pocketface.errors import DataError, WeightsError


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


def figures_of(comparison, replicates=5):
    """Every figure and every replicate, by protocol."""
    return {
        figures.name: (
            {size: rates.tolist() for size, rates in figures.cmc.items()},
            [(point.far, point.accepted, point.tar.tolist()) for point in figures.points],
            figures.impostors,
            figures.compared,
            figures.roc.tolist(),
        )
        for figures in measure(
            comparison, replicates=replicates, generator=np.random.default_rng(1)
        )
    }


def rearranged(comparison, probes, distractors):
    """The same images in other rows: row i is the old row probes[i] or distractors[i]."""
    place = np.argsort(distractors)
    return dataclasses.replace(
        comparison,
        probes=comparison.probes[probes],
        person=comparison.person[probes],
        noisy_probes=comparison.noisy_probes[probes],
        distractors=comparison.distractors[distractors],
        noisy_distractors=comparison.noisy_distractors[distractors],
        chosen={size: place[rows] for size, rows in comparison.chosen.items()},
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_probes_and_of_distractors_changes_nothing(seed, ties, random):
    comparison = draw(seed, ties=ties)
    probes, distractors = list(range(12)), list(range(60))
    random.shuffle(probes)
    random.shuffle(distractors)
    other = rearranged(comparison, np.array(probes), np.array(distractors))
    for rows in other.chosen.values():
        random.shuffle(rows)
    assert figures_of(other) == figures_of(comparison)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(-30, 30))
def test_a_common_scale_changes_nothing_not_even_a_tie(seed, power):
    comparison = draw(seed, ties=True)
    scaled = dataclasses.replace(
        comparison,
        probes=comparison.probes * np.float32(2.0**power),
        distractors=comparison.distractors * np.float32(2.0**power),
    )
    assert figures_of(scaled) == figures_of(comparison)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-20, 1e20))
def test_a_scale_that_rounds_changes_no_figure_either(seed, scale):
    comparison = draw(seed, dtype=np.float64)
    scaled = dataclasses.replace(
        comparison, probes=comparison.probes * scale, distractors=comparison.distractors * scale
    )
    assert figures_of(scaled) == figures_of(comparison)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_a_common_rotation_changes_figures_by_rounding_only(seed):
    comparison = draw(seed, dtype=np.float64)
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((5, 5)))
    turned = dataclasses.replace(
        comparison,
        probes=comparison.probes @ rotation,
        distractors=comparison.distractors @ rotation,
    )
    # Continuous features have no ties, so rounding moves no figure at all.
    assert figures_of(turned) == figures_of(comparison)


@pytest.mark.parametrize("ties", [False, True])
def test_how_the_work_is_cut_changes_nothing(monkeypatch, ties):
    comparison = draw(5, distractors=300, ties=ties)
    whole = figures_of(comparison)
    monkeypatch.setattr(search, "_SCORES_AT_ONCE", 200)
    monkeypatch.setattr(search, "_ROWS", 5)
    monkeypatch.setattr(search, "_FIRST_BLOCK", 3)
    monkeypatch.setattr(search, "_SETTLE_AT", 4)
    assert figures_of(comparison) == whole


def test_lists_may_overlap_contain_or_miss_one_another():
    comparison = draw(8, distractors=80)
    generator = np.random.default_rng(8)
    lists = {size: generator.permutation(80)[:size] for size in (3, 10, 25, 60)}
    together = figures_of(dataclasses.replace(comparison, chosen=lists), replicates=0)
    for size, rows in lists.items():
        alone = figures_of(dataclasses.replace(comparison, chosen={size: rows}), replicates=0)
        for name, (cmc, *_) in alone.items():
            assert together[name][0][size] == cmc[size]
    # Verification is that of the largest list, of which 20 distractors are no part.
    assert together["raw"][1:3] == alone["raw"][1:3]
    assert together["raw"][2] == 12 * 60


def test_with_fewer_distractors_than_ranks_the_last_ranks_are_always_reached():
    comparison = dataclasses.replace(draw(2), chosen={2: np.array([4, 9])})
    (figures,) = measure(
        dataclasses.replace(comparison, protocols=("raw",)),
        replicates=0,
        generator=np.random.default_rng(0),
    )
    assert (figures.cmc[2][0, 2:] == 1).all()
    assert figures.cmc[2][0, 0] < 1
    assert figures.compared == {2: 2}
    assert [point.far for point in figures.points] == []  # 24 pairs cannot tell 1 %


def test_a_network_that_finds_everybody_alike_is_measured_as_that(monkeypatch):
    monkeypatch.setattr(search, "_SETTLE_AT", 100)
    comparison = draw(3, distractors=200)
    same = dataclasses.replace(
        comparison,
        probes=np.full((12, 5), 0.3, np.float32),
        distractors=np.full((200, 5), 0.3, np.float32),
    )
    for figures in measure(same, replicates=3, generator=np.random.default_rng(0)):
        assert (figures.cmc[200] == 1).all()  # a pair that is as similar reaches the rank
        assert [(point.accepted, point.tar.tolist()) for point in figures.points] == [
            (0, [0.0] * 4)
        ] * len(figures.points)


def test_features_may_be_mapped_half_precision_and_noise_may_lie_among_them(tmp_path):
    comparison = draw(11, distractors=300, dtype=np.float16)
    np.save(tmp_path / "d.npy", comparison.distractors)
    mapped = np.load(tmp_path / "d.npy", mmap_mode="r")
    assert mapped.dtype == np.float16
    found = figures_of(dataclasses.replace(comparison, distractors=mapped))
    wide = dataclasses.replace(
        comparison,
        probes=comparison.probes.astype(np.float64),
        distractors=comparison.distractors.astype(np.float64),
    )
    assert found == figures_of(wide)


def test_noise_that_has_no_direction_is_not_looked_at_where_only_the_rest_counts():
    comparison = draw(6)
    refined = dataclasses.replace(comparison, protocols=("refined",))
    wanted = figures_of(refined)
    probes, distractors = comparison.probes.copy(), comparison.distractors.copy()
    probes[comparison.noisy_probes] = 0
    distractors[comparison.noisy_distractors] = 0
    chosen = {
        size: rows[~comparison.noisy_distractors[rows]] for size, rows in comparison.chosen.items()
    }
    spoilt = dataclasses.replace(refined, probes=probes, distractors=distractors, chosen=chosen)
    assert figures_of(spoilt) == wanted
    with pytest.raises(WeightsError, match="zero or not finite"):
        figures_of(dataclasses.replace(spoilt, protocols=("raw", "refined")))


def test_a_person_with_nothing_but_noise_is_refused():
    comparison = draw(6)
    noisy = comparison.noisy_probes | (comparison.person == 2)
    with pytest.raises(DataError, match="person number 2 of the probes has no clean image"):
        figures_of(dataclasses.replace(comparison, noisy_probes=noisy))


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
@pytest.mark.parametrize("side", ["probes", "distractors"])
def test_features_without_direction_are_named(value, side):
    comparison = draw(4)
    rows = getattr(comparison, side).copy()
    rows[7] = value
    broken = dataclasses.replace(comparison, **{side: rows})
    number = {"probes": "row 7", "distractors": "distractor 7"}[side]
    with pytest.raises(WeightsError, match=f"1 of .* zero or not finite, first that of {number}:"):
        figures_of(broken)
    names = [f"p{i}.png" for i in range(12)], [f"d{i}.jpg" for i in range(60)]
    name = {"probes": "p7.png", "distractors": "d7.jpg"}[side]
    with pytest.raises(WeightsError, match=f"first that of {name}:"):
        figures_of(dataclasses.replace(broken, names=names))


def test_progress_counts_each_distractor_once():
    told = []
    comparison = draw(1, distractors=200)
    measure(
        comparison,
        replicates=0,
        generator=np.random.default_rng(0),
        progress=lambda *done: told.append(done),
    )
    assert told[-1] == (200, 200)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
