"""The pair sets: what each isolates, and that nothing but the pictures gives the answer away."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pocketface.data.pairs import load_pairs
from pocketface.synthetic.population import Population
from pocketface.synthetic.sets.circumstances import PAIRS
from pocketface.synthetic.sets.pair_sets import FOLDS, PairPlan, PairSetRecipe
from pocketface.synthetic.sets.shot import Shot

SEED = 11


def taken(plan: PairPlan, field: str) -> np.ndarray:
    """A field of the nuisances of every pair, (P, 2)."""
    population = Population(SEED)
    values = [getattr(shot.nuisance(population), field) for shot in plan.shots]
    return np.array(values, dtype=float).reshape(-1, 2)


def halves(plan: PairPlan) -> list[tuple[Shot, Shot]]:
    return list(zip(plan.shots[0::2], plan.shots[1::2], strict=True))


@pytest.mark.parametrize("name", PAIRS)
def test_at_scale_1_there_are_600_pairs_in_10_balanced_folds(name: str) -> None:
    plan = PairSetRecipe(name).plan(SEED)
    same = np.array(plan.same).reshape(FOLDS, -1)
    assert same.shape == (10, 60)
    assert (same == ([True] * 30 + [False] * 30)).all()
    assert plan.counts == {"pairs": 600, "people": 300, "images": 1200}


@pytest.mark.parametrize("name", PAIRS)
def test_answers_are_true_and_people_are_seen_alike_in_both_kinds(name: str) -> None:
    plan = PairSetRecipe(name, 0.2).plan(SEED)
    assert plan.same == [left.person == right.person for left, right in halves(plan)]
    assert len({(shot.person, shot.image) for shot in plan.shots}) == len(plan.shots)
    for kind, times in ((True, 2), (False, 2)):
        pairs = [pair for pair, same in zip(halves(plan), plan.same, strict=True) if same is kind]
        counts = Counter(shot.person for pair in pairs for shot in pair)
        assert set(counts.values()) == {times}


@pytest.mark.parametrize("name", PAIRS)
def test_folds_share_nobody(name: str) -> None:
    plan = PairSetRecipe(name, 0.2).plan(SEED)
    folds = np.array([shot.person for shot in plan.shots]).reshape(FOLDS, -1)
    assert len({person for fold in folds for person in set(fold)}) == sum(
        len(set(fold)) for fold in folds
    )


def test_lfw_is_mixed_and_of_one_time() -> None:
    plan = PairSetRecipe("lfw").plan(SEED)
    ages, yaw = taken(plan, "age"), taken(plan, "yaw")
    assert np.abs(ages[:, 0] - ages[:, 1]).mean() < 5
    assert ages.min() < 25
    assert ages.max() > 65
    assert 5 < np.abs(yaw).mean() < 25


def test_calfw_has_an_age_gap_in_both_kinds_of_pairs() -> None:
    plan = PairSetRecipe("calfw").plan(SEED)
    gaps = np.abs(np.diff(taken(plan, "age"), axis=1))[:, 0]
    assert gaps.min() > 9.99
    assert gaps.max() < 40.01
    same = np.array(plan.same)
    assert abs(gaps[same].mean() - gaps[~same].mean()) < 2


def test_agedb_is_30_years_apart_and_either_side_may_be_the_older() -> None:
    ages = taken(PairSetRecipe("agedb_30").plan(SEED), "age")
    assert np.abs(ages[:, 0] - ages[:, 1]) == pytest.approx(30)
    assert ages.min() >= 18
    assert ages.max() <= 80
    assert 0.4 < (ages[:, 0] < ages[:, 1]).mean() < 0.6


def test_cplfw_is_turned_apart_in_both_kinds_of_pairs() -> None:
    plan = PairSetRecipe("cplfw").plan(SEED)
    yaw = taken(plan, "yaw")
    gaps = np.abs(yaw[:, 0] - yaw[:, 1])
    assert gaps.min() > 39.9
    assert gaps.max() < 75.1
    assert np.abs(yaw).max() <= 80
    same = np.array(plan.same)
    assert abs(gaps[same].mean() - gaps[~same].mean()) < 5


def test_cfp_sets_one_frontal_face_against_a_profile_or_a_frontal_one() -> None:
    profile = np.abs(taken(PairSetRecipe("cfp_fp", 0.3).plan(SEED), "yaw"))
    frontal = np.abs(taken(PairSetRecipe("cfp_ff", 0.3).plan(SEED), "yaw"))
    assert profile[:, 0].max() <= 15
    assert profile[:, 1].min() >= 60
    assert frontal.max() <= 15


@pytest.mark.parametrize(("name", "closer"), [("calfw", True), ("cplfw", True), ("lfw", False)])
def test_impostors_are_alike_where_they_should_be(name: str, closer: bool) -> None:
    plan = PairSetRecipe(name).plan(SEED)
    population = Population(SEED)
    people = {shot.person for shot in plan.shots}
    melanin = {person: population.person(person)["melanin"] for person in people}
    gaps = [
        abs(melanin[left.person] - melanin[right.person])
        for left, right in halves(plan)
        if left.person != right.person
    ]
    assert bool(np.median(gaps) < 0.3) is closer


def test_the_file_is_read_back_as_planned(make, tmp_path: Path) -> None:
    (made,) = make("cfp_fp", scale=0.1)
    assert made.path == tmp_path / "out" / "cfp_fp.bin"
    pairs = load_pairs(made.path)
    plan = PairSetRecipe("cfp_fp", 0.1).plan(5)
    assert pairs.folds == 10
    assert pairs.same.tolist() == plan.same
    assert len(pairs.images) == len(plan.shots) == 120
    assert pairs.pixels(0).shape == (112, 112, 3)
    assert (pairs.left == np.arange(0, 120, 2)).all()


def test_a_larger_scale_gives_more_pairs_and_the_smallest_still_ten_folds() -> None:
    assert len(PairSetRecipe("lfw", 2.0).plan(SEED).same) == 1200
    assert len(PairSetRecipe("lfw", 0.001).plan(SEED).same) == 40
