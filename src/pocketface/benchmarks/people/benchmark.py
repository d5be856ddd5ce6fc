"""One's own people, from a folder to a result: looked over, embedded, checked and measured."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.alignment_check import crop_fit, sample_of
from pocketface.benchmarks.bootstrap import LEVEL
from pocketface.benchmarks.cases import CaseGroup
from pocketface.benchmarks.ijb.figures import cmc_png, tpir_png
from pocketface.benchmarks.ijb.identification import FPIRS, Search
from pocketface.benchmarks.pair_figures import det_png, roc_png, scores_png
from pocketface.benchmarks.people.findings import Finding, findings, single_people
from pocketface.benchmarks.people.measure import (
    measure_pairs,
    measure_search,
    recommend,
    similarities,
)
from pocketface.benchmarks.people.near_copies import near_copies, thumbnail
from pocketface.benchmarks.people.orientation import Candidate, not_upright, turned_images
from pocketface.benchmarks.people.protocol import Plan, plan
from pocketface.benchmarks.people.result import PeopleResult
from pocketface.benchmarks.people.two_names import two_names
from pocketface.benchmarks.people.usable import Usable, look_over
from pocketface.benchmarks.people.worst import found_cases, worst_pairs
from pocketface.benchmarks.people_pairs import IMAGES_PER_PERSON
from pocketface.benchmarks.replicates import Replicates
from pocketface.benchmarks.result import Intervals, measured_model
from pocketface.benchmarks.stream import embed_to_file
from pocketface.data import Faces, decode_rgb
from pocketface.embedding.embedder import Embedder, Progress
from pocketface.embedding.unit import unit

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PeopleRun:
    """What a run gives: figures, pictures, cases to look at, scores, and replicates."""

    result: PeopleResult
    figures: dict[str, bytes]
    cases: list[CaseGroup]
    scores: Floats
    replicates: Replicates | None


@dataclass(frozen=True)
class PeopleBenchmark:
    """A set of people, looked over, and the protocol on it.

    Attributes:
        name: of the set.
        faces: the set.
        usable: what looking it over found.
        plan: the protocol on the images that can be used.
        seed: of the protocol.
        data: content identity of images and protocol, hexadecimal.
    """

    name: str
    faces: Faces
    usable: Usable
    plan: Plan
    seed: int
    data: str

    @classmethod
    def load(
        cls, name: str, faces: Faces, seed: int, progress: Progress | None = None
    ) -> "PeopleBenchmark":
        """Look `faces` over and make the protocol; `progress` is told of the images looked at.

        Raises DataError if no image can be used, or too few people are left.
        """
        usable = look_over(faces, progress)
        chosen = plan(faces.labels[usable.rows], seed)
        content = f"people 1 {IMAGES_PER_PERSON} {seed} {faces.fingerprint()}"
        identity = hashlib.sha256(content.encode()).hexdigest()
        return cls(name, faces, usable, chosen, seed, identity)

    def image_name(self, image: int) -> str:
        """The name of a chosen image."""
        return self.faces.name(int(self.usable.rows[self.plan.rows[image]]))

    def pixels(self, image: int) -> Pixels:
        """A chosen image, uint8 (H, H, 3) RGB. Raises DataError if it cannot be read any more."""
        row = int(self.usable.rows[self.plan.rows[image]])
        return decode_rgb(self.faces.encoded(row), self.faces.name(row))

    def run(
        self,
        embedder: Embedder,
        progress: Progress | None = None,
        *,
        far: float = 1e-3,
        flip: bool = True,
        replicates: int = 1000,
        model: str = "model",
        work: Path,
    ) -> PeopleRun:
        """Embed the chosen images, check them, and measure 1:1 and 1:N.

        Args:
            embedder: the network.
            progress: told after each batch how many images are done, of how many.
            far: the false accept rate of the recommended threshold.
            flip: sum the embeddings of image and mirror.
            replicates: bootstrap replicates for the confidence intervals; 0 for none.
            model: what to call the network in the result.
            work: folder of the embeddings (`embeddings.npy`); a stopped run goes on there.

        Raises DataError for an image that cannot be read any more, or files in `work` that are
        another run's; WeightsError for embeddings that are zero or not finite.
        """
        chosen, images = self.plan, len(self.plan.rows)
        names = [self.image_name(image) for image in range(images)]
        began = time.perf_counter()
        rows = embed_to_file(
            work / "embeddings.npy",
            images,
            self.pixels,
            embedder,
            flip=flip,
            plan={"people": self.data},
            progress=progress,
        )
        seconds = time.perf_counter() - began
        directions = unit(rows, names)
        warning = crop_fit([self.pixels(image) for image in sample_of(images).tolist()])
        seen, cases = self._check(embedder, directions, names, flip=flip)
        scores = similarities(directions, chosen)
        pairs = measure_pairs(scores, chosen, replicates, self.seed)
        spread, identification = dict(pairs.spread), None
        searches: dict[str, Search] = {}
        if chosen.open_set is not None:
            searches, measured = measure_search(chosen.open_set, directions, replicates, self.seed)
            identification = measured.figures
            spread |= measured.spread
        recommended, silence = recommend(
            scores,
            chosen,
            far,
            searches,
            {} if identification is None else identification.gallery_sizes,
            replicates=replicates,
            seed=self.seed,
        )
        genuine = int(np.count_nonzero(chosen.same))
        result = PeopleResult(
            benchmark=self.name,
            data=self.data,
            model=measured_model(embedder, model),
            flip=flip,
            seed=self.seed,
            found=len(self.faces),
            images=images,
            people=len(np.unique(chosen.people)),
            images_per_person=IMAGES_PER_PERSON,
            pairs=len(scores),
            genuine_pairs=genuine,
            impostor_pairs=len(scores) - genuine,
            findings=seen,
            recommended=recommended,
            auc=pairs.auc,
            eer=pairs.eer,
            operating_points=pairs.points,
            not_measured=pairs.silences,
            roc=pairs.roc,
            identification=identification,
            search_similarities=tuple(
                max(max(one.threshold(fpir) for one in searches.values()), -1.0)
                for fpir in FPIRS
                if searches
            ),
            warnings=tuple(text for text in (warning, silence) if text is not None),
            intervals=Intervals(drawn="people", level=LEVEL, replicates=replicates, seed=self.seed)
            if replicates
            else None,
            embedding_seconds=seconds,
        )
        threshold = None if recommended is None else recommended.similarity.value
        cases += worst_pairs(scores, chosen, threshold, self.image_name, self.pixels)
        pictures = {
            "roc.png": roc_png(result),
            "det.png": det_png(result),
            "scores.png": scores_png(result, scores, chosen.same),
        }
        if identification is not None:
            pictures |= {"tpir.png": tpir_png(result), "cmc.png": cmc_png(result)}
        kept = _replicates(result, spread) if replicates else None
        return PeopleRun(result, pictures, cases, scores, kept)

    def _check(
        self, embedder: Embedder, directions: Floats, names: Sequence[str], *, flip: bool
    ) -> tuple[tuple[Finding, ...], list[CaseGroup]]:
        """All checks, and pictures of what they found."""
        people = self.plan.people
        thumbnails = np.empty((len(people), len(thumbnail(self.pixels(0)))), np.float32)
        candidates: dict[int, Candidate] = {}
        crops: dict[int, Pixels] = {}
        for image in range(len(people)):
            pixels = self.pixels(image)
            thumbnails[image] = thumbnail(pixels)
            if (lying := not_upright(pixels)) is not None:
                candidates[image], crops[image] = lying, pixels
        turned = turned_images(candidates, crops, directions, people, embedder, flip=flip)
        # As they lie, turned faces of all people are alike to a network.
        righted = directions.copy()
        for one in turned:
            righted[one.image] = one.direction
        who, places = np.unique(people, return_inverse=True)
        sums = np.zeros((len(who), directions.shape[1]))
        np.add.at(sums, places, righted)
        suspicion = two_names(unit(sums).astype(np.float32))
        copies = near_copies(directions.astype(np.float32), thumbnails)
        who_names = [self.faces.people[person] for person in who.tolist()]
        found = findings(
            self.usable,
            names,
            who_names,
            copies,
            suspicion,
            turned,
            single_people(people, self.faces.people),
        )
        show = partial(found_cases, plan=self.plan, directions=directions)
        return found, show(suspicion.pairs, copies, turned, name=self.image_name, fetch=self.pixels)


def _replicates(result: PeopleResult, spread: dict[str, Floats]) -> Replicates:
    values = {name: found.value for name, found in result.figures().items()}
    return Replicates(
        data=result.data,
        model=result.model.fingerprint,
        drawn="people",
        seed=result.seed,
        values=values,
        draws={name: spread[name] for name in values},
    )
