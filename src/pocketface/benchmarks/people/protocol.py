"""Who is compared with whom: pairs, and an open-set search with strangers. Ours, from one seed.

Of each person at most `IMAGES_PER_PERSON` images are used, drawn by the seed. 1:1: every pair of
one person, and all or 100,000 drawn pairs of two, as `pocketface calibrate --people` draws them.
1:N: the people with two or more images are cut into two halves; half of each one's images (rounded
down) make a template, and the others are probes. Gallery A enrols the first half: its people's
probes are to be found, all others are strangers' (those of people with one image too). Gallery B
enrols the other half, with the same probes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.ijb.meta import SubjectTable
from pocketface.benchmarks.people_pairs import IMAGES_PER_PERSON, chosen_images, pairs_among
from pocketface.embedding.unit import unit

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OpenSet:
    """The 1:N protocol. Numbers of images are places among the chosen ones.

    Attributes:
        enrolled: the images of each template.
        galleries: by name; `template` counts behind the images: image count + template's number.
        probes: `template` is the image; `subject` is who it is.
    """

    enrolled: tuple[Ints, ...]
    galleries: dict[str, SubjectTable]
    probes: SubjectTable

    def units(self, directions: Floats) -> npt.NDArray[np.float32]:
        """Unit embeddings of images and then templates, float32, from (images, D) unit rows.

        Each image of a template counts alike. Raises WeightsError if images cancel out.
        """
        sums = np.stack([directions[images].sum(axis=0) for images in self.enrolled])
        return np.concatenate([directions, unit(sums)]).astype(np.float32)


@dataclass(frozen=True)
class Plan:
    """The whole protocol.

    Attributes:
        rows: int64 (n,), the chosen images, as rows of what `plan` was given.
        people: int64 (n,), who is on each.
        left, right: int64 (P,), places among the chosen images.
        same: bool (P,).
        open_set: None where fewer than two people have two images.
    """

    rows: Ints
    people: Ints
    left: Ints
    right: Ints
    same: npt.NDArray[np.bool_]
    open_set: OpenSet | None


def plan(labels: Ints, seed: int, *, images_per_person: int = IMAGES_PER_PERSON) -> Plan:
    """The protocol for images with these labels, int64 (N,).

    Raises DataError without a person of two images, or with one person only.
    """
    generator = np.random.default_rng(seed)
    rows = chosen_images(labels, generator, images_per_person)
    people = labels[rows].astype(np.int64)
    left, right, same = pairs_among(people, generator)
    return Plan(rows, people, left, right, same, _open_set(people, generator))


def _open_set(people: Ints, generator: np.random.Generator) -> OpenSet | None:
    who, counts = np.unique(people, return_counts=True)
    several = generator.permutation(who[counts > 1])
    if len(several) < 2:
        return None
    enrolled, probes = [], [np.flatnonzero(np.isin(people, who[counts == 1]))]
    for person in several.tolist():
        images = generator.permutation(np.flatnonzero(people == person))
        enrolled.append(np.sort(images[: len(images) // 2]))
        probes.append(np.sort(images[len(images) // 2 :]))
    middle = (len(several) + 1) // 2
    templates = len(people) + np.arange(len(several))
    galleries = {
        "A": SubjectTable(templates[:middle], several[:middle]),
        "B": SubjectTable(templates[middle:], several[middle:]),
    }
    asked = np.concatenate(probes)
    return OpenSet(tuple(enrolled), galleries, SubjectTable(asked, people[asked]))
