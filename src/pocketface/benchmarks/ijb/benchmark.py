"""IJB-B and IJB-C, from a folder to a result: both protocols on one set of embeddings."""

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.alignment_check import landmark_fit
from pocketface.benchmarks.bootstrap import LEVEL
from pocketface.benchmarks.cases import CaseGroup
from pocketface.benchmarks.ijb.identities import identities
from pocketface.benchmarks.ijb.measure import measure_identification, measure_verification
from pocketface.benchmarks.ijb.meta import IjbMeta, read_meta
from pocketface.benchmarks.ijb.result import Counting, IjbResult
from pocketface.benchmarks.ijb.scores import TemplateScores
from pocketface.benchmarks.ijb.templates import Weighting, aggregate
from pocketface.benchmarks.ijb.worst import worst_cases
from pocketface.benchmarks.replicates import Replicates
from pocketface.benchmarks.result import Intervals, measured_model
from pocketface.benchmarks.stream import embed_to_file
from pocketface.data.alignment import align_face
from pocketface.data.jpeg import decode_rgb
from pocketface.embedding.embedder import Embedder, Progress
from pocketface.errors import DataError

Floats = npt.NDArray[np.float64]

_CASES_FAR = 1e-4
"""The FAR whose threshold says which of the worst cases are wrong."""


@dataclass(frozen=True)
class IjbRun:
    """What a run gives: figures, the worst cases, and the figures' bootstrap replicates."""

    result: IjbResult
    cases: list[CaseGroup]
    replicates: Replicates | None


@dataclass(frozen=True)
class IjbBenchmark:
    """A set in the layout of IJB-B and IJB-C, read and checked.

    Attributes:
        name: of the folder.
        folder: holds `loose_crop/` and `meta/`.
        meta: the meta files.
        faces: identity of what embeddings depend on: landmarks, names and sizes in bytes of the
            images; hexadecimal.
        data: identity of that and of the other meta files' content, hexadecimal.
        warnings: about the landmarks.
    """

    name: str
    folder: Path
    meta: IjbMeta
    faces: str
    data: str
    warnings: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read and check all meta files, and that every image is there.

        Raises DataError that names the file, the line, and the mend.
        """
        meta = read_meta(folder)
        same = meta.pairs.genuine()
        if not 0 < len(same) < len(meta.pairs):
            kind = "one person" if len(same) else "two people"
            raise DataError(
                f"{folder}: all {len(meta.pairs):,} pairs of templates are of {kind}: error rates "
                "need both kinds. Restore the list of pairs."
            )
        _check_galleries(folder, meta)
        sizes = _image_sizes(folder / "loose_crop", meta.faces.names)
        misfit = landmark_fit(meta.faces.landmarks)
        faces = _faces_identity(meta, sizes)
        return cls(
            name=folder.resolve().name,
            folder=folder,
            meta=meta,
            faces=faces,
            data=_identity(meta, faces),
            warnings=() if misfit is None else (misfit,),
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
        keep_norm: bool | None = None,
        detector_score: bool | None = None,
    ) -> IjbRun:
        """Align and embed every face, make templates, and measure both protocols.

        Args:
            embedder: the network.
            progress: told after each batch how many faces are done, of how many.
            flip: sum the embeddings of image and mirror, as the protocol says.
            replicates: bootstrap replicates for the confidence intervals; 0 for none.
            seed: of the replicates.
            model: what to call the network in the result.
            work: folder of the embeddings (`embeddings.npy`); a stopped run goes on there.
            keep_norm: count faces with their embedding's own length; None is the usual way,
                which is with it in 1:1 and without in 1:N.
            detector_score: count faces times their detector score; None is the usual way of 1:1,
                with it, in both (in 1:N our choice).

        Raises DataError for an image that cannot be read or aligned, or files in `work` that are
        another run's; WeightsError for embeddings that are zero or not finite.
        """
        faces = self.meta.faces
        began = time.perf_counter()
        features = embed_to_file(
            work / "embeddings.npy",
            len(faces.names),
            self.face,
            embedder,
            flip=flip,
            plan={"benchmark": self.meta.name, "faces": self.faces},
            progress=progress,
        )
        seconds = time.perf_counter() - began
        score = True if detector_score is None else detector_score
        one_to_one = Weighting(True if keep_norm is None else keep_norm, score)
        one_to_many = Weighting(False if keep_norm is None else keep_norm, score)
        units = self.templates(features, one_to_one)
        scores = TemplateScores(self.meta.pairs, units)
        owner = identities(self.meta.pairs)
        verification = measure_verification(scores, owner, replicates, seed)
        spread: dict[str, Floats] = dict(verification.spread)
        identification = None
        if self.meta.probes is not None:
            if one_to_many != one_to_one:
                units = self.templates(features, one_to_many)
            found = measure_identification(
                units,
                self.meta.galleries,
                self.meta.probes,
                Counting(**one_to_many._asdict()),
                replicates,
                seed,
            )
            identification = found.figures
            spread |= found.spread
        result = IjbResult(
            benchmark=self.name,
            protocol=self.meta.name,
            data=self.data,
            model=measured_model(embedder, model),
            flip=flip,
            faces=len(faces.names),
            templates=len(faces.templates),
            pairs=len(self.meta.pairs),
            genuine_pairs=len(scores.genuine),
            impostor_pairs=scores.impostors,
            identities=int(owner.max()) + 1,
            verification_faces=Counting(**one_to_one._asdict()),
            verification=verification.points,
            roc=verification.roc,
            identification=identification,
            warnings=self.warnings,
            intervals=Intervals(drawn="identities", level=LEVEL, replicates=replicates, seed=seed)
            if replicates
            else None,
            embedding_seconds=seconds,
        )
        threshold = next(p.similarity for p in result.verification if p.far == _CASES_FAR)
        return IjbRun(
            result,
            worst_cases(scores, faces, self.face, threshold),
            _replicates(result, spread, seed) if replicates else None,
        )

    def face(self, i: int) -> npt.NDArray[np.uint8]:
        """Face `i`, aligned, uint8 (112, 112, 3) RGB. Raises DataError that names the image."""
        name = self.meta.faces.names[i]
        path = self.folder / "loose_crop" / name
        try:
            image = decode_rgb(path.read_bytes(), name)
        except OSError as error:
            raise DataError(f"{path}: cannot read the image: {error.strerror}.") from error
        try:
            return align_face(image, self.meta.faces.landmarks[i])
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    def templates(
        self, features: npt.NDArray[np.floating], weighting: Weighting
    ) -> npt.NDArray[np.float32]:
        """Unit embeddings of the templates, float32 (T, D). Raises WeightsError."""
        faces = self.meta.faces
        return aggregate(
            features,
            faces.template,
            faces.media,
            faces.detector_score,
            weighting,
            face_name=lambda i: faces.names[i],
            template_name=lambda row: f"template {faces.templates[row]}",
        )


def _image_sizes(folder: Path, names: list[str]) -> npt.NDArray[np.int64]:
    """The sizes of the images in bytes. Raises DataError if one is missing."""
    sizes = np.empty(len(names), np.int64)
    missing = []
    for row, name in enumerate(names):
        try:
            sizes[row] = os.stat(folder / name).st_size  # noqa: PTH116 - half a million of them
        except OSError:
            missing.append(name)
    if missing:
        raise DataError(
            f"{folder}: {len(missing):,} of {len(names):,} images are missing, first {missing[0]}. "
            "Restore them: leaving faces out would change every figure."
        )
    return sizes


def _check_galleries(folder: Path, meta: IjbMeta) -> None:
    """Refuse a gallery in which no probe can be found."""
    for name, gallery in meta.galleries.items():
        if meta.probes is not None and not np.isin(meta.probes.subject, gallery.subject).any():
            raise DataError(
                f"{folder}: gallery {name} holds the person of no probe. Its list and that of the "
                "probes must number people alike. Restore both."
            )


def _faces_identity(meta: IjbMeta, sizes: npt.NDArray[np.int64]) -> str:
    digest = hashlib.sha256("\n".join(meta.faces.names).encode())
    _add(digest, landmarks=meta.faces.landmarks, sizes=sizes)
    return digest.hexdigest()


def _identity(meta: IjbMeta, faces: str) -> str:
    digest = hashlib.sha256(faces.encode())
    for name in ("detector_score", "template", "media", "templates"):
        _add(digest, **{name: getattr(meta.faces, name)})
    _add(digest, pairs=meta.pairs.keys, places=meta.pairs.order)
    for name, table in (*meta.galleries.items(), ("probes", meta.probes)):
        if table is not None:
            digest.update(name.encode())
            _add(digest, templates=table.template, subjects=table.subject)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", **content: npt.NDArray[Any]) -> None:
    for name, values in content.items():
        digest.update(f"{name} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)


def _replicates(result: IjbResult, spread: dict[str, Floats], seed: int) -> Replicates:
    values = {name: estimate.value for name, estimate in result.figures().items()}
    return Replicates(
        data=result.data,
        model=result.model.fingerprint,
        drawn="identities",
        seed=seed,
        values=values,
        draws={name: spread[name] for name in values},
    )
