"""LFW, CALFW, CPLFW, CFP and AgeDB-30 in miniature: pairs in a verification `.bin`.

A fold has people of its own, as LFW's have. Each of them stands in one pair of one person and in
two pairs of two people, so that nothing but the pictures tells which pairs are the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pocketface.data.pairs import PairSet, save_bin
from pocketface.synthetic.identity import Identity
from pocketface.synthetic.population import Population
from pocketface.synthetic.sets.blocks import people_of, plan_stream
from pocketface.synthetic.sets.circumstances import PAIRS
from pocketface.synthetic.sets.shot import Picture, Shot

FOLDS = 10
PAIRS_PER_KIND = 30
"""Pairs of one person in a fold at scale 1, and as many of two people."""


@dataclass(frozen=True)
class PairPlan:
    """Shots 2k and 2k + 1 are pair k; within a fold the pairs of one person come first."""

    name: str
    shots: list[Shot] = field(default_factory=list)
    same: list[bool] = field(default_factory=list)

    @property
    def counts(self) -> Mapping[str, int]:
        """The set's size."""
        people = len({shot.person for shot in self.shots})
        return {"pairs": len(self.same), "people": people, "images": len(self.shots)}

    def write(self, target: Path, pictures: Sequence[Picture]) -> None:
        """Write the `.bin`."""
        order = np.arange(len(self.shots), dtype=np.int64)
        files = [picture.file for picture in pictures]
        names = [f"{self.name} image {i}" for i in range(len(files))]
        same = np.array(self.same, dtype=np.bool_)
        save_bin(PairSet(files, order[0::2], order[1::2], same, names, FOLDS), target)


@dataclass(frozen=True)
class PairSetRecipe:
    """The pair set `name` with 600 x `scale` pairs, half of them of one person, in 10 folds."""

    name: str
    scale: float = 1.0

    @property
    def output(self) -> str:
        """The `.bin`."""
        return f"{self.name}.bin"

    @property
    def options(self) -> Mapping[str, int | float | str]:
        """The scale."""
        return {"scale": self.scale}

    def plan(self, seed: int) -> PairPlan:
        """Decide the people and pictures of every fold."""
        kind = PAIRS[self.name]
        per_kind = max(2, round(PAIRS_PER_KIND * self.scale))
        people = people_of(self.name, FOLDS * per_kind)
        population, rng = Population(seed), plan_stream(seed, self.name)
        plan = PairPlan(self.name)

        def add(left: tuple[int, int], right: tuple[int, int]) -> None:
            sides = kind.sides(rng)
            for (person, image), side in zip((left, right), sides, strict=True):
                plan.shots.append(Shot(person, image, side.ranges, side.fixed))
            plan.same.append(left[0] == right[0])

        for start in range(0, len(people), per_kind):
            fold = people[start : start + per_kind]
            for person in fold:
                add((person, 0), (person, 1))
            ring = _ring(fold, population, rng, alike=kind.alike)
            for person, neighbour in zip(ring, [*ring[1:], ring[0]], strict=True):
                add((person, 2), (neighbour, 3))
        return plan


def _ring(
    fold: Sequence[int], population: Population, rng: np.random.Generator, *, alike: bool
) -> list[int]:
    """Who is compared with whom in the pairs of two people: each with the next, in a circle."""
    if not alike:
        return [fold[i] for i in rng.permutation(len(fold))]

    def likeness(person: int) -> tuple[bool, float]:
        identity: Identity = population.person(person)
        return identity["dimorphism"] > 0, identity["melanin"]

    return sorted(fold, key=likeness)
