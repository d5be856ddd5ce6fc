"""People to learn from: a folder per person, or RecordIO."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pocketface.data.write_set import Layout, write_set
from pocketface.synthetic.sets.blocks import people_of, plan_stream
from pocketface.synthetic.sets.circumstances import OLDEST, TRAINING, YOUNGEST
from pocketface.synthetic.sets.shot import Picture, Shot


@dataclass(frozen=True)
class TrainingPlan:
    """The shots person by person, `each` of them."""

    shots: list[Shot]
    people: int
    each: int
    layout: Layout

    @property
    def counts(self) -> Mapping[str, int]:
        """The set's size."""
        return {"people": self.people, "images": len(self.shots)}

    def write(self, target: Path, pictures: Sequence[Picture]) -> None:
        """Write `<person>/<person>_0001.jpg`..., or `train.rec` and `train.idx`."""
        names = [f"person_{person:06d}" for person in range(self.people)]
        files = (picture.file for picture in pictures)
        write_set(target, names, [self.each] * self.people, files, self.layout)


@dataclass(frozen=True)
class TrainingRecipe:
    """A training set of `people` with `images_per_person` each, `size` pixels high and wide.

    The pictures of one person are spread over some thirty years of life.
    """

    people: int = 500
    images_per_person: int = 20
    size: int = 112
    layout: Layout = "folder"
    name: str = "train"
    output: str = "train"

    @property
    def options(self) -> Mapping[str, int | float | str]:
        """All that was asked for."""
        return {
            "people": self.people,
            "images_per_person": self.images_per_person,
            "size": self.size,
            "layout": self.layout,
        }

    def plan(self, seed: int) -> TrainingPlan:
        """Decide the age of every person on every picture."""
        people = people_of(self.name, self.people)
        rng = plan_stream(seed, self.name)
        shots = []
        for person in people:
            middle = rng.uniform(YOUNGEST + 7, OLDEST - 15)
            drawn = middle + 12 * rng.standard_normal(self.images_per_person)
            for image, age in enumerate(np.clip(drawn, YOUNGEST, OLDEST).tolist()):
                shots.append(Shot(person, image, TRAINING, (("age", age),), size=self.size))
        return TrainingPlan(shots, self.people, self.images_per_person, self.layout)
