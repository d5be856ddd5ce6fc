"""People to learn from: a folder per person, or RecordIO."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pocketface.data.record_writer import write_faces
from pocketface.synthetic.sets.blocks import people_of, plan_stream
from pocketface.synthetic.sets.circumstances import OLDEST, TRAINING, YOUNGEST
from pocketface.synthetic.sets.shot import Picture, Shot

Layout = Literal["folder", "rec"]


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
        if self.layout == "rec":
            counts = [self.each] * self.people
            write_faces(target / "train.rec", counts, (picture.file for picture in pictures))
            return
        for number, picture in enumerate(pictures):
            person, image = divmod(number, self.each)
            name = f"person_{person:06d}"
            (target / name).mkdir(parents=True, exist_ok=True)
            (target / name / f"{name}_{image + 1:04d}.jpg").write_bytes(picture.file)


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
