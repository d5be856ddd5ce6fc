"""What the service does, without HTTP: verify, identify, enrol, list and remove people.

Every method may be called by several threads. Each borrows one of the recognisers, so that no
network and no detector is ever used by two threads at once, whatever its runtime.
"""

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from pocketface import __version__
from pocketface.data.jpeg import encode_png
from pocketface.detect.recognise import Recogniser, SeenFace
from pocketface.embedding.unit import similarity_of, squared_distances, unit
from pocketface.errors import GalleryError, PocketFaceError
from pocketface.gallery.gallery import Gallery, Match, Stats, Template
from pocketface.gallery.open_set import decide, false_positive_rate
from pocketface.service.answers import (
    About,
    Candidate,
    Enrolment,
    FaceIdentified,
    GallerySize,
    Identification,
    Known,
    People,
    PersonEnrolled,
    Rate,
    Removal,
    Verdict,
    Verification,
)
from pocketface.service.bounds import Bounds
from pocketface.service.decision import Decision
from pocketface.service.enrolling import enrollable, name_of, resembling
from pocketface.service.form import Upload
from pocketface.service.looking import describe_face, describe_photo, look
from pocketface.service.refusal import RefusedError, refusal_of

_STATS_SECONDS = 2.0
"""How old the gallery's size may be that an answer tells; counting a million rows takes time."""


class Engine:
    """The work of the service.

    `recognisers` are as many as threads work; `decision.flip` is theirs and the gallery's. Without
    a gallery people cannot be identified or enrolled. The engine closes the gallery in the end.
    """

    def __init__(
        self,
        recognisers: Sequence[Recogniser],
        decision: Decision,
        bounds: Bounds,
        *,
        model: str,
        gallery: Gallery | None = None,
    ) -> None:
        self.bounds = bounds
        self._decision = decision
        self._model = model
        self._gallery = gallery
        self._size = recognisers[0].embedder.embedding_size
        self._free: queue.SimpleQueue[Recogniser] = queue.SimpleQueue()
        for recogniser in recognisers:
            self._free.put(recogniser)
        self._stats: tuple[float, Stats] | None = None
        self._lock = threading.Lock()

    def about(self) -> About:
        """What the service runs with."""
        return About(
            version=__version__,
            model=self._model,
            embedding_size=self._size,
            threshold=self._decision.limit,
            operating_points=list(self._decision.points),
            calibrated=self._decision.calibration is not None,
            gallery=None if self._gallery is None else self._gallery_size(),
            keeps_crops=self._gallery is not None and self._gallery.keeps_crops,
            max_body_bytes=self.bounds.body_bytes,
            max_pixels=self.bounds.pixels,
            max_photos=self.bounds.photos,
        )

    def verify(self, first: Upload, second: Upload, *, crops: bool = False) -> Verification:
        """Whether two photographs show one person. Raises RefusedError as `look` and `chosen`."""
        with self._recogniser() as recogniser:
            looked = [
                look(recogniser, upload, field, self.bounds)
                for upload, field in ((first, "first"), (second, "second"))
            ]
            chosen = [each.chosen() for each in looked]
            faces = [each.faces[place] for each, (place, _) in zip(looked, chosen, strict=True)]
            embeddings = self._embed(recogniser, faces)
        directions = unit(embeddings)
        similarity = float(similarity_of(squared_distances(directions[:1], directions[1:]))[0])
        limit = self._decision.limit
        verdict: Verdict
        if any(face.faults for face in faces):
            verdict = "too poor"
        elif limit is None:
            verdict = "undecided"
        else:
            verdict = "same person" if similarity >= limit.similarity else "different people"
        shown = [
            describe_photo(each, place, why, crops=crops)
            for each, (place, why) in zip(looked, chosen, strict=True)
        ]
        return Verification(
            verdict=verdict,
            similarity=similarity,
            threshold=limit,
            probability=self._decision.probability(similarity),
            first=shown[0],
            second=shown[1],
        )

    def identify(self, photo: Upload, candidates: int, *, crops: bool = False) -> Identification:
        """Who is on a photograph. Raises RefusedError (422) as `look`, (409) without a gallery."""
        gallery = self._people_gallery()
        with self._recogniser() as recogniser:
            looked = look(recogniser, photo, "photo", self.bounds)
            good = [face for face in looked.faces if not face.faults]
            embeddings = self._embed(recogniser, good)
        found = iter(gallery.search(embeddings, candidates) if good else [])
        seen = looked.photo
        return Identification(
            name=seen.name,
            width=seen.width,
            height=seen.height,
            aligned=seen.aligned,
            faces=[
                self._identified(face, () if face.faults else next(found), crops=crops)
                for face in looked.faces
            ],
            more_faces=looked.more,
            threshold=self._decision.limit,
            gallery=self._gallery_size(),
        )

    def enrol(
        self, name: str, photos: Sequence[Upload], *, largest: bool = False, crops: bool = False
    ) -> Enrolment:
        """Enrol a person's photographs, each of one good face: all of them or none.

        Of several faces the `largest` is taken, if that is asked. Raises RefusedError: 422 for
        another name or photograph, 409 without a gallery.
        """
        gallery = self._people_gallery()
        person = name_of(name)
        with self._recogniser() as recogniser:
            looked = [look(recogniser, each, "photos", self.bounds) for each in photos]
            chosen = [enrollable(each, largest=largest) for each in looked]
            faces = [each.faces[place] for each, (place, _) in zip(looked, chosen, strict=True)]
            embeddings = self._embed(recogniser, faces)
        templates = [
            Template(
                embedding,
                upload.name,
                each.photo.sha256,
                encode_png(face.crop) if gallery.keeps_crops else None,
            )
            for embedding, upload, each, face in zip(embeddings, photos, looked, faces, strict=True)
        ]
        resembles = resembling(gallery, person, embeddings, self._decision.limit)
        added = gallery.enrol(person, templates)
        self._stats = None
        return Enrolment(
            person=person,
            added=added,
            known=len(templates) - added,
            resembles=resembles,
            photos=[
                describe_photo(each, place, why, crops=crops)
                for each, (place, why) in zip(looked, chosen, strict=True)
            ],
        )

    def people(self, start: int, count: int) -> People:
        """`count` people from place `start`. Raises RefusedError (409) without a gallery."""
        everybody = self._people_gallery().people()
        part = everybody[start : start + count]
        return People(
            people=[PersonEnrolled(name=each.name, templates=each.templates) for each in part],
            total=len(everybody),
        )

    def remove(self, name: str) -> Removal:
        """Remove a person. Raises RefusedError: 404 if there is none, 409 without a gallery."""
        gallery = self._people_gallery()
        person = name_of(name)
        try:
            removed = gallery.remove(person)
        except GalleryError as error:
            if error.__cause__ is None and person not in {each.name for each in gallery.people()}:
                raise RefusedError(
                    404,
                    f"Nobody is called {person!r}.",
                    "The name of a person of the gallery, in full.",
                    "See who is there: GET /people.",
                ) from error
            raise
        finally:
            self._stats = None
        return Removal(person=person, removed=removed)

    def size(self) -> Stats | None:
        """The gallery's size, some seconds old at most; None without a gallery."""
        if self._gallery is None:
            return None
        with self._lock:
            known = self._stats
            if known is None or time.monotonic() - known[0] > _STATS_SECONDS:
                known = self._stats = (time.monotonic(), self._gallery.stats())
            return known[1]

    def close(self) -> None:
        """Close the gallery."""
        if self._gallery is not None:
            self._gallery.close()

    @contextmanager
    def _recogniser(self) -> Iterator[Recogniser]:
        recogniser = self._free.get()
        try:
            yield recogniser
        finally:
            self._free.put(recogniser)

    def _embed(self, recogniser: Recogniser, faces: Sequence[SeenFace]) -> npt.NDArray[np.float32]:
        if not faces:
            return np.zeros((0, self._size), np.float32)
        try:
            embeddings = recogniser.embed(faces)
            unit(embeddings, [f"face {place}" for place in range(1, len(faces) + 1)])
        except PocketFaceError as error:
            raise refusal_of(error, 422, "Faces that the network gives a direction for.") from error
        return embeddings

    def _people_gallery(self) -> Gallery:
        if self._gallery is None:
            raise RefusedError(
                409,
                "The service has no gallery.",
                "POST /verify, which needs none.",
                "Start it with: pocketface serve --gallery FILE",
            )
        return self._gallery

    def _identified(
        self, face: SeenFace, matches: Sequence[Match], *, crops: bool
    ) -> FaceIdentified:
        limit = self._decision.limit
        person: str | None = None
        verdict: Known
        if face.faults:
            verdict = "too poor"
        elif limit is None:
            verdict = "undecided"
        else:
            person = decide(matches, limit.similarity).person
            verdict = "unknown" if person is None else "known"
        return FaceIdentified(
            **describe_face(face, crops=crops).model_dump(),
            verdict=verdict,
            person=person,
            candidates=_candidates(matches),
        )

    def _gallery_size(self) -> GallerySize:
        stats = self.size() or Stats(0, 0, 0, 0)
        limit, rate = self._decision.limit, None
        if limit is not None and limit.far is not None:
            rate = Rate(
                least=false_positive_rate(limit.far, stats.people),
                most=false_positive_rate(limit.far, stats.templates),
            )
        return GallerySize(people=stats.people, templates=stats.templates, false_positive_rate=rate)


def _candidates(matches: Sequence[Match]) -> list[Candidate]:
    return [Candidate(person=each.person, similarity=each.similarity) for each in matches]
