"""IJB-B and IJB-C in miniature: who is in which template, in stills and frames of videos.

Each person has one gallery template of stills and some probe templates; half of the people are in
the first gallery and half in the second, so that each meets probes whose person it does not hold.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.synthetic.population import Population
from pocketface.synthetic.sets import template_files
from pocketface.synthetic.sets.blocks import people_of, plan_stream
from pocketface.synthetic.sets.circumstances import OLDEST, TEMPLATES, YOUNGEST, TemplateRanges
from pocketface.synthetic.sets.detector import detect
from pocketface.synthetic.sets.shot import Picture, Shot

PEOPLE = 200
TEMPLATES_EACH = 5
"""Sizes at scale 1; the number of templates is the mean over the people."""

IMPOSTORS_PER_GENUINE = 800
"""At most so many pairs of two people in the 1:1 list for each pair of one."""

_SIZES = (128, 160, 192)
_VIDEOS = {"ijbb": 2, "ijbc": 3}


@dataclass(frozen=True)
class TemplatePlan:
    """Row r of every array is face r, shown on shot r, in the order of the files.

    `template` and `media` int64 (F,); `gallery` and `probe` map a template to its person; `pairs`
    int64 (P, 3): two templates, and whether they are of one person.
    """

    name: str
    seed: int
    shots: list[Shot]
    template: npt.NDArray[np.int64]
    media: npt.NDArray[np.int64]
    gallery: tuple[dict[int, int], dict[int, int]]
    probe: dict[int, int]
    pairs: npt.NDArray[np.int64]

    @property
    def counts(self) -> Mapping[str, int]:
        """The set's size."""
        templates = len(self.gallery[0]) + len(self.gallery[1]) + len(self.probe)
        return {
            "people": len(self.gallery[0]) + len(self.gallery[1]),
            "templates": templates,
            "pairs": len(self.pairs),
            "images": len(self.shots),
        }

    def write(self, target: Path, pictures: Sequence[Picture]) -> None:
        """Write `loose_crop/` and `meta/`."""
        population, rng = Population(self.seed), plan_stream(self.seed, self.name)
        crops = target / "loose_crop"
        crops.mkdir(parents=True)
        detections = []
        for row, (shot, picture) in enumerate(zip(self.shots, pictures, strict=True)):
            (crops / template_files.face_name(row)).write_bytes(picture.file)
            nuisance = shot.nuisance(population)
            detections.append(detect(nuisance, picture.landmarks, shot.size, rng))
        meta = target / "meta"
        meta.mkdir()
        template_files.write_landmarks(meta, self.name, detections)
        template_files.write_media(meta, self.name, self.template, self.media)
        template_files.write_pairs(meta, self.name, self.pairs)
        for gallery, subjects in zip(
            template_files.GALLERIES[self.name], self.gallery, strict=True
        ):
            template_files.write_subjects(meta, f"{self.name}_1N_gallery_{gallery}", subjects)
        template_files.write_subjects(meta, f"{self.name}_1N_probe_mixed", self.probe)


@dataclass(frozen=True)
class TemplateRecipe:
    """`ijbb` or `ijbc`: 200 x `scale` people with five templates each on average."""

    name: str
    scale: float = 1.0

    @property
    def output(self) -> str:
        """The folder, named as the published one."""
        return {"ijbb": "IJBB", "ijbc": "IJBC"}[self.name]

    @property
    def options(self) -> Mapping[str, int | float | str]:
        """The scale."""
        return {"scale": self.scale}

    def plan(self, seed: int) -> TemplatePlan:
        """Decide templates, media and pairs."""
        rng = plan_stream(seed, self.name)
        people = people_of(self.name, max(4, round(PEOPLE * self.scale)))
        count = TEMPLATES_EACH * len(people)
        # Everybody has a gallery and a probe template, the others fall where they may.
        spare = rng.integers(len(people), size=count - 2 * len(people))
        probes_of = 1 + np.bincount(spare, minlength=len(people))
        # Real numbers have gaps and no order; so have these.
        numbers = iter((rng.permutation(10 * count)[:count] + 1).tolist())
        media_numbers = iter((rng.permutation(40 * count) + 1).tolist())
        first_half = set(rng.permutation(len(people))[: len(people) // 2].tolist())
        gallery: tuple[dict[int, int], dict[int, int]] = ({}, {})
        probe: dict[int, int] = {}
        rows: list[tuple[int, int, Shot]] = []
        for index, person in enumerate(people):
            album = _Album(person, TEMPLATES[self.name], _VIDEOS[self.name], rng, media_numbers)
            number = next(numbers)
            gallery[0 if index in first_half else 1][number] = index + 1
            rows += [(number, *face) for _ in range(rng.integers(2, 5)) for face in album.still()]
            for _ in range(probes_of[index]):
                number = next(numbers)
                probe[number] = index + 1
                rows += [(number, *face) for face in album.probe_faces()]
        rows = [rows[i] for i in rng.permutation(len(rows))]
        return TemplatePlan(
            self.name,
            seed,
            [shot for _, _, shot in rows],
            np.array([template for template, _, _ in rows]),
            np.array([media for _, media, _ in rows]),
            gallery,
            probe,
            _pairs(gallery[0] | gallery[1], probe, rng),
        )


class _Album:
    """One person's media: stills, used once each, and a few videos that several templates share."""

    def __init__(
        self,
        person: int,
        ranges: TemplateRanges,
        videos: int,
        rng: np.random.Generator,
        media_numbers: Iterator[int],
    ) -> None:
        self._person, self._ranges, self._rng = person, ranges, rng
        self._media_numbers = media_numbers
        self._middle = rng.uniform(YOUNGEST + 4, OLDEST - 10)
        self._image = 0
        self._videos = [
            (next(media_numbers), self._next_image(), self._age()) for _ in range(videos)
        ]

    def still(self) -> list[tuple[int, Shot]]:
        """The one face of a new still, with its media number."""
        shot = Shot(
            self._person,
            self._next_image(),
            self._ranges.still,
            (("age", self._age()),),
            size=self._size(),
            aligned=False,
        )
        return [(next(self._media_numbers), shot)]

    def frames(self) -> list[tuple[int, Shot]]:
        """Two to four new frames of one of the videos."""
        media, scene, age = self._videos[int(self._rng.integers(len(self._videos)))]
        size = self._size()
        return [
            (
                media,
                Shot(
                    self._person,
                    scene,
                    self._ranges.frame,
                    (("age", age),),
                    frame=self._next_image(),
                    size=size,
                    aligned=False,
                ),
            )
            for _ in range(self._rng.integers(2, 5))
        ]

    def probe_faces(self) -> list[tuple[int, Shot]]:
        """One probe template: a still, a video, or some of both."""
        kind = self._rng.random()
        if kind < 0.4:
            return self.still()
        faces = self.frames()
        if kind < 0.7:
            for _ in range(self._rng.integers(1, 4)):
                faces += self.still()
        return faces

    def _next_image(self) -> int:
        self._image += 1
        return self._image

    def _age(self) -> float:
        drawn = self._middle + 4 * self._rng.standard_normal()
        return float(np.clip(drawn, YOUNGEST, OLDEST))

    def _size(self) -> int:
        return int(_SIZES[int(self._rng.integers(len(_SIZES)))])


def _pairs(
    gallery: Mapping[int, int], probe: Mapping[int, int], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Every probe with its own gallery template, and with others', in no order: int64 (P, 3)."""
    left, left_person = np.array(list(gallery.items())).T
    right, right_person = np.array(list(probe.items())).T
    same = left_person[:, None] == right_person[None, :]
    genuine, impostor = np.flatnonzero(same), np.flatnonzero(~same)
    most = IMPOSTORS_PER_GENUINE * len(genuine)
    if len(impostor) > most:
        impostor = rng.choice(impostor, most, replace=False)
    chosen = rng.permutation(np.concatenate([genuine, impostor]))
    rows, columns = np.divmod(chosen, len(right))
    return np.stack([left[rows], right[columns], same.reshape(-1)[chosen]], axis=1).astype(np.int64)
