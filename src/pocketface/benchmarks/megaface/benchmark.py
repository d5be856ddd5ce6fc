"""MegaFace and refined MegaFace, from a folder to a result.

The folder holds the devkit's `templatelists/`, the aligned images under `facescrub/` and
`megaface/`, and the noise lists `facescrub_noises.txt` and `megaface_noises.txt`, without which
there is no refined protocol. Instead of images, features that another program wrote in the
devkit's format can be measured.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.bootstrap import LEVEL
from pocketface.benchmarks.cases import CaseGroup
from pocketface.benchmarks.megaface.assemble import kept_replicates, protocol_result
from pocketface.benchmarks.megaface.feature_folder import DISTRACTORS, PROBES
from pocketface.benchmarks.megaface.lists import (
    PROBE_LIST,
    DistractorLists,
    ProbeList,
    find_distractor_lists,
    identity_of,
    join_distractor_lists,
    read_distractor_list,
    read_probe_list,
)
from pocketface.benchmarks.megaface.measure import (
    Comparison,
    ProtocolName,
    measure,
)
from pocketface.benchmarks.megaface.missing import LIMIT
from pocketface.benchmarks.megaface.noise import DISTRACTOR_FILE, PROBE_FILE, NoiseLists
from pocketface.benchmarks.megaface.result import MegafaceResult
from pocketface.benchmarks.megaface.sources import Features, from_folder, from_images, pictures
from pocketface.benchmarks.megaface.worst import worst_cases
from pocketface.benchmarks.replicates import Replicates
from pocketface.benchmarks.result import Intervals
from pocketface.embedding.embedder import Embedder, Progress
from pocketface.errors import DataError

Bools = npt.NDArray[np.bool_]


class MegafaceRun(NamedTuple):
    """A result, the comparisons that it gets most wrong, and the replicates of its figures."""

    result: MegafaceResult
    cases: list[CaseGroup]
    replicates: Replicates | None


@dataclass(frozen=True)
class MegafaceBenchmark:
    """The lists of MegaFace, read and checked, and where its images lie.

    Attributes:
        noises: the noise lists, None without them: then there is no refined protocol.
    """

    name: str
    folder: Path
    probes: ProbeList
    distractors: DistractorLists
    noises: NoiseLists | None

    @classmethod
    def load(cls, folder: Path, number: int = 1) -> "MegafaceBenchmark":
        """Read the lists in `folder`, of distractors the random set `number`.

        Raises DataError for a list that is missing or broken; images are looked for by `run`.
        """
        lists = folder / "templatelists"
        if not lists.is_dir():
            raise DataError(f"{folder} has no folder templatelists. Put the devkit's lists there.")
        found = find_distractor_lists(lists, number)
        return cls(
            folder.resolve().name,
            folder,
            read_probe_list(lists / PROBE_LIST),
            join_distractor_lists(
                {size: read_distractor_list(file) for size, file in found.items()}
            ),
            NoiseLists.load(folder),
        )

    def run(
        self,
        embedder: Embedder,
        progress: Progress | None = None,
        *,
        flip: bool = True,
        replicates: int = 1000,
        seed: int = 0,
        model: str = "model",
        work: Path,
        missing: float = LIMIT,
    ) -> MegafaceRun:
        """Embed the images and measure: `embed`, then `measure`."""
        features = self.embed(
            embedder, progress, flip=flip, model=model, work=work, missing=missing
        )
        return self.measure(features, replicates=replicates, seed=seed)

    def embed(
        self,
        embedder: Embedder,
        progress: Progress | None = None,
        *,
        flip: bool = True,
        model: str = "model",
        work: Path,
        missing: float = LIMIT,
    ) -> Features:
        """Embed the images; a run that was stopped goes on in `work`.

        Args:
            embedder: the network.
            progress: told how many of all images are embedded.
            flip: sum the embeddings of image and mirror.
            model: what to call the network in the result.
            work: folder of the embeddings, kept for the next run.
            missing: the share of the probes, and of the distractors, that may be missing.

        Raises DataError for missing or broken images, a full disk, or embeddings of another run
        in `work`; WeightsError for embeddings that are not finite.
        """
        return from_images(
            self.folder,
            (self.probes, self.distractors),
            embedder,
            progress,
            flip=flip,
            model=model,
            work=work,
            missing=missing,
        )

    def read_features(
        self,
        folder: Path,
        progress: Progress | None = None,
        *,
        algorithm: str | None = None,
        model: str = "model",
        work: Path,
        missing: float = LIMIT,
    ) -> Features:
        """Read features in the devkit's format: `folder/facescrub/...`, `folder/megaface/...`.

        `algorithm` is what stands between an image's name and `.bin`; it is found where there is
        only one. `work` is where the features are brought together. Raises DataError for missing
        or broken files or a full disk, RecipeError for several algorithms.
        """
        return from_folder(
            folder,
            (self.probes, self.distractors),
            progress,
            algorithm=algorithm,
            model=model,
            work=work,
            missing=missing,
        )

    def measure(
        self,
        features: Features,
        progress: Progress | None = None,
        *,
        replicates: int = 1000,
        seed: int = 0,
    ) -> MegafaceRun:
        """Compare all probes with all distractors, and measure.

        Features that carry the noise column are cleaned already: only the refined protocol is
        measured on them.

        Args:
            features: of this benchmark's images.
            progress: told how many distractors are compared, of all lists.
            replicates: bootstrap replicates for the confidence intervals; 0 for none.
            seed: of the replicates.

        Raises DataError if missing images and noise leave nothing to compare, WeightsError for
        features that are zero or not finite.
        """
        began = time.perf_counter()
        probes, distractors = features.probes, features.distractors
        noisy, about_noise = self._noise(features)
        chosen = distractors.chosen
        protocols: tuple[ProtocolName, ...] = ("raw", "refined")
        if self.noises is None:
            protocols = ("raw",)
        if features.noisy is not None:
            # What the features call noise has no direction left: it may not even be looked at.
            chosen = {size: rows[~features.noisy[1][rows]] for size, rows in chosen.items()}
            protocols = ("refined",)
        _check_left(protocols, chosen, noisy[1])
        figures = measure(
            Comparison(
                features.probe_rows,
                probes.person,
                features.distractor_rows,
                chosen,
                protocols,
                *noisy,
                names=(probes.paths, distractors.paths),
            ),
            replicates=replicates,
            generator=np.random.default_rng(seed),
            progress=progress,
        )
        result = MegafaceResult(
            benchmark=self.name,
            data=_identity(probes, distractors, noisy),
            model=features.model,
            flip=features.flip,
            probes=len(probes),
            people=len(probes.people),
            genuine_pairs=len(figures[0].probe),
            distractors=len(distractors),
            missing_probes=len(self.probes) - len(probes),
            missing_distractors=len(self.distractors) - len(distractors),
            noisy_probes=int(noisy[0].sum()),
            noisy_distractors=int(noisy[1].sum()),
            protocols=tuple(protocol_result(entry) for entry in figures),
            notes=(*features.warnings, *about_noise),
            intervals=Intervals(drawn="people", level=LEVEL, replicates=replicates, seed=seed)
            if replicates
            else None,
            embedding_seconds=features.seconds,
            comparing_seconds=time.perf_counter() - began,
        )
        cases = worst_cases(
            figures[-1],
            (probes.paths, pictures(self.folder / PROBES, probes.paths)),
            (distractors.paths, pictures(self.folder / DISTRACTORS, distractors.paths)),
            noisy[0] & (figures[-1].name == "refined"),
        )
        return MegafaceRun(result, cases, kept_replicates(result, figures) if replicates else None)

    def _noise(self, features: Features) -> tuple[tuple[Bools, Bools], tuple[str, ...]]:
        """Which images are noise, bool (P,) and (M,), and what is to be said about it."""
        listed = None
        if self.noises is not None:
            listed = self.noises.find(features.probes, features.distractors)
        if features.noisy is not None:
            noisy = features.noisy
            if listed is not None:
                noisy = (noisy[0] | listed[0], noisy[1] | listed[1])
            return noisy, (
                "The features carry a column that says what is noise, and are cleaned already: "
                "only the refined protocol can be measured on them.",
            )
        if self.noises is None or listed is None:
            nothing = (
                np.zeros(len(features.probes), np.bool_),
                np.zeros(len(features.distractors), np.bool_),
            )
            return nothing, (
                f"There is no refined protocol: {self.folder} has no {PROBE_FILE} and "
                f"{DISTRACTOR_FILE}.",
            )
        return listed, self.noises.warnings(listed)


def _identity(probes: ProbeList, distractors: DistractorLists, noisy: tuple[Bools, Bools]) -> str:
    """Content identity of what is compared, hexadecimal; by names, images are not read."""
    people = [probes.people[number] for number in probes.person]
    numbers = [str(np.flatnonzero(part).tolist()) for part in noisy]
    sizes = [f"{size} {rows.tolist()}" for size, rows in distractors.chosen.items()]
    return identity_of([*probes.paths, *people, *distractors.paths, *sizes, *numbers])


def _check_left(
    protocols: tuple[ProtocolName, ...],
    chosen: dict[int, npt.NDArray[np.int64]],
    noisy: npt.NDArray[np.bool_],
) -> None:
    """Refuse a list of which missing images and noise leave nothing to compare with."""
    for size, rows in chosen.items():
        if not len(rows) or ("refined" in protocols and noisy[rows].all()):
            raise DataError(
                f"of the list of {size:,} distractors nothing is left without what is missing and "
                "what is noise. Check the noise list of the distractors, or remove that list."
            )
