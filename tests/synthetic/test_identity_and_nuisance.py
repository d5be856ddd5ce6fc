"""Who a person is and how a picture is taken share no coefficient and no random stream."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.errors import DataError
from pocketface.synthetic.appearance import describe
from pocketface.synthetic.complexion import complexion
from pocketface.synthetic.identity import COEFFICIENTS, LIMIT, LOOK, SHAPE, Identity, dimorphism
from pocketface.synthetic.modes import EXPRESSION, WORN
from pocketface.synthetic.nuisance import PROFILE, Nuisance, NuisanceRanges, Spread
from pocketface.synthetic.population import Population
from pocketface.synthetic.pose import bend

CPU = torch.device("cpu")
STILL = dict.fromkeys((*EXPRESSION, *WORN, "jaw"), 0.0)
"""A face at rest, with nothing before it."""

PERSONAL = (
    *(f"{part}_{c}" for part in ("skin", "iris", "brow", "young_hair") for c in "rgb"),
    *("blotch", "freckles", "skin_row", "skin_column", "eye_shadow", "rosy", "male"),
    *(f"mole_{m}_{part}" for m in "ab" for part in ("x", "y", "size")),
    *("lid_low", "lid_peak", "crease", "brow_half", "brow_out", "brow_arch", "brow_dense"),
    *("cupid", "hairline", "recede", "widow", "bald", "beard_cheek", "beard_dense"),
)
"""Columns of an appearance that only the person and the age decide."""

seeds = st.integers(0, 2**32 - 1)


def test_an_identity_has_60_to_120_coefficients_under_names_of_their_own() -> None:
    assert 60 <= len(COEFFICIENTS) <= 120
    assert len(set(COEFFICIENTS)) == len(COEFFICIENTS) == len(SHAPE) + len(LOOK)
    assert not set(COEFFICIENTS) & {f.name for f in fields(Nuisance)}


@settings(max_examples=15, deadline=None)
@given(seed=seeds, person=seeds, first=seeds, second=seeds)
def test_a_person_has_one_mesh_and_one_albedo(
    seed: int, person: int, first: int, second: int
) -> None:
    population = Population(seed)
    who = population.person(person)
    taken = [population.nuisance(person, image).but(age=40.0) for image in (first, second)]
    look = describe([who, who], taken, CPU)
    for name in PERSONAL:
        column = look.table[look.names[name]]
        assert column[0] == column[1], name
    at_rest = [now.but(**STILL) for now in taken]
    meshes = bend([who, who], at_rest, CPU)
    assert torch.equal(meshes[0], meshes[1])
    assert torch.equal(meshes[:1], bend([who], [Nuisance(age=40.0)], CPU))


@settings(max_examples=15, deadline=None)
@given(seed=seeds, person=seeds, image=seeds)
def test_streams_are_apart(seed: int, person: int, image: int) -> None:
    population = Population(seed)
    before = population.person(person)
    population.nuisance(person, image)
    np.testing.assert_array_equal(before.coefficients, population.person(person).coefficients)
    streams = [
        population.stream("identity", person),
        population.stream("nuisance", person, image),
        population.stream("nuisance", person, (image + 1) % 2**32),
        population.stream("nuisance", (person + 1) % 2**32, image),
        Population((seed + 1) % 2**32).stream("identity", person),
        Population((seed + 1) % 2**32).stream("nuisance", person, image),
    ]
    first_numbers = {rng.integers(2**63) for rng in streams}
    assert len(first_numbers) == len(streams)


def test_identities_do_not_depend_on_nuisances_statistically() -> None:
    """No coefficient is correlated with any number of a nuisance, over 2,000 people."""
    population = Population(3)
    who = np.stack([population.person(i).coefficients for i in range(2000)])
    moments = [population.nuisance(i, 0) for i in range(2000)]
    names = [f.name for f in fields(Nuisance) if isinstance(getattr(moments[0], f.name), float)]
    now = np.array([[getattr(m, name) for name in names] for m in moments])
    now = now[:, now.std(axis=0) > 0]
    correlation = np.corrcoef(who.T, now.T)[: who.shape[1], who.shape[1] :]
    # The largest of some 5,000 correlations of noise; 1/sqrt(2000) is one deviation.
    assert np.abs(correlation).max() < 5.2 / np.sqrt(2000)


def test_coefficients_are_standard_normal_within_the_limit() -> None:
    population = Population(5)
    values = np.stack([population.person(i).coefficients for i in range(1000)])
    assert np.abs(values).max() <= LIMIT
    assert np.abs(values.mean(axis=0)).max() < 0.15
    assert np.abs(values.std(axis=0) - 0.96).max() < 0.12
    np.testing.assert_array_equal(values * 2**12, np.round(values * 2**12))


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_each_shape_coefficient_moves_the_mesh_and_no_other_person(seed: int) -> None:
    rng = np.random.default_rng(seed)
    who = Population(seed).person(0)
    changed = who.coefficients.copy()
    changed[rng.integers(len(SHAPE))] += 0.5
    other = Identity(changed, who.skin_offset)
    now = Nuisance()
    meshes = bend([who, other, who], [now, now, now], CPU)
    assert torch.equal(meshes[0], meshes[2])
    assert (meshes[0] - meshes[1]).abs().max() > 0.2  # mm


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_one_range_changes_one_factor(seed: int) -> None:
    """Accuracy against one factor can be measured with all the others held."""
    usual = NuisanceRanges()
    ranges = {
        "yaw": replace(usual, yaw=Spread(0, 40, -90, 90)),
        "age": replace(usual, age=Spread(70, 5, 60, 80)),
        "blur": replace(usual, blur=Spread(2, 0.5, 0.6, 3.5)),
    }
    base = Population(seed).nuisance(0, 0, usual)
    for name, wider in ranges.items():
        other = Population(seed).nuisance(0, 0, wider)
        for f in fields(Nuisance):
            if f.name != name:
                np.testing.assert_array_equal(getattr(base, f.name), getattr(other, f.name))


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_draws_stay_in_their_ranges(seed: int) -> None:
    now = Population(seed).nuisance(1, 2, PROFILE)
    assert 60 <= abs(now.yaw) <= 90
    assert -12 <= now.pitch <= 12
    for name in (*EXPRESSION, "jaw", "blink", "squint"):
        low = -1.0 if name == "half_smile" else 0.0
        assert low <= getattr(now, name) <= 1.5, name
    np.testing.assert_allclose(np.linalg.norm(now.light_from, axis=1), 1.0)
    assert (now.light_colour >= 0).all()
    assert 20 <= now.jpeg <= 98


def test_profiles_turn_to_both_sides() -> None:
    yaws = [Population(1).nuisance(i, 0, PROFILE).yaw for i in range(60)]
    assert 15 < sum(yaw > 0 for yaw in yaws) < 45


def test_a_life_runs_one_way() -> None:
    population = Population(2)
    for person in range(20):
        who = population.person(person)
        life = [complexion(who, age) for age in range(18, 81, 6)]
        for name in ("grey", "wrinkles", "bald"):
            course = [row[name] for row in life]
            assert course == sorted(course), name
        assert life[-1]["grey"] > life[0]["grey"]


def test_two_groups() -> None:
    values = np.array([dimorphism(Population(4).person(i)) for i in range(300)])
    assert np.abs(values).min() >= 0.55
    assert 100 < (values > 0).sum() < 200


def test_mistakes_are_named() -> None:
    with pytest.raises(DataError, match=r"seed must lie in \[0, 2\^32\), got -1"):
        Population(-1)
    with pytest.raises(DataError, match="person must lie"):
        Population(1).person(2**32)
    with pytest.raises(DataError, match="no field 'yawn'"):
        Nuisance().but(yawn=1.0)
    with pytest.raises(DataError, match="low <= high"):
        Spread(0, 1, 5, -5)
    with pytest.raises(DataError, match="coefficients, got an array of shape"):
        Identity(np.zeros(3), np.zeros(2, dtype=np.int64))
