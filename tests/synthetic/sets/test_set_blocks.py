"""Nobody is in two sets, whatever the seed and the sizes."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.errors import RecipeError
from pocketface.synthetic.population import Population
from pocketface.synthetic.sets import SET_NAMES, choose_sets
from pocketface.synthetic.sets.blocks import people_of, plan_stream

MOST = {name: 2**31 if name == "train" else 2**24 for name in SET_NAMES}


@given(
    first=st.sampled_from(SET_NAMES),
    second=st.sampled_from(SET_NAMES),
    counts=st.tuples(st.integers(1, 2**24), st.integers(1, 2**24)),
)
def test_two_sets_share_nobody(first: str, second: str, counts: tuple[int, int]) -> None:
    a, b = people_of(first, counts[0]), people_of(second, counts[1])
    if first != second:
        assert max(a[0], b[0]) > min(a[-1], b[-1])


def test_even_the_largest_sets_share_nobody_and_fit_the_population() -> None:
    blocks = sorted((people_of(name, MOST[name]) for name in SET_NAMES), key=lambda r: r[0])
    for before, after in itertools.pairwise(blocks):
        assert before[-1] < after[0]
    Population(0).person(blocks[-1][-1])


@pytest.mark.parametrize("name", SET_NAMES)
def test_more_people_than_a_set_has_are_refused(name: str) -> None:
    with pytest.raises(RecipeError, match="at most"):
        people_of(name, MOST[name] + 1)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.02, 0.1]))
def test_the_plans_of_all_sets_share_nobody(seed: int, scale: float) -> None:
    seen: dict[int, str] = {}
    for recipe in choose_sets(scale=scale, people=50, images_per_person=1):
        for shot in recipe.plan(seed).shots:
            assert seen.setdefault(shot.person, recipe.name) == recipe.name


def test_people_of_two_sets_look_different() -> None:
    population = Population(3)
    first = [population.person(people_of(name, 1)[0]).coefficients for name in SET_NAMES]
    for i, one in enumerate(first):
        for other in first[:i]:
            assert not np.array_equal(one, other)


def test_the_streams_of_plans_differ_from_one_another_and_from_those_of_people() -> None:
    population = Population(7)
    streams = [plan_stream(7, name) for name in SET_NAMES]
    streams += [
        population.stream(kind, number) for kind in ("identity", "nuisance") for number in range(12)
    ]
    streams.append(plan_stream(8, "lfw"))
    drawn = {stream.integers(0, 2**63) for stream in streams}
    assert len(drawn) == len(streams)
