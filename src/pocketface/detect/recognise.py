"""From a photograph's bytes to faces that can be embedded: the one way for every command.

A picture counts as an aligned face, and is not searched for faces again, if it is square and its
side is 112 pixels, as `pocketface align` and the field's data sets have it, or that of the
network's input (our rule). Photographs of exactly that size hardly occur, apart from thumbnails;
the caller can force either way. Every other picture is a photograph: its faces are found, cut out
and measured. An aligned face has no eyes to measure the distance of: of its quality only sharpness
and brightness are known.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from pocketface.data.alignment import SIZE, TEMPLATE, align_face
from pocketface.detect.detector import Detector, Face, choose_face
from pocketface.detect.photo import decode_photo, read_file
from pocketface.detect.quality import Limits, Quality, measure, reasons
from pocketface.embedding.embedder import Embedder
from pocketface.embedding.flip import embed_faces
from pocketface.embedding.resize import resize_faces
from pocketface.errors import DataError, RecipeError

Pixels = npt.NDArray[np.uint8]

Aligned = Literal["auto", "yes", "no"]
"""Whether pictures are aligned faces: by the rule above, all of them, none of them."""


@dataclass(frozen=True, eq=False)
class SeenFace:
    """A face of a photograph.

    `crop` is uint8 (H, H, 3), aligned; `found` where it lies in the photograph, None where the
    picture was an aligned face itself; `quality` its figures, None likewise; `faults` why it is not
    good enough, in words, empty if it is.
    """

    crop: Pixels
    found: Face | None
    quality: Quality | None
    faults: list[str]


@dataclass(frozen=True, eq=False)
class SeenPhoto:
    """A photograph that was looked at: its faces, the highest score first.

    `sha256` is that of its bytes, hexadecimal; `aligned` whether it was taken as an aligned face.
    """

    name: str
    sha256: str
    width: int
    height: int
    aligned: bool
    faces: list[SeenFace]

    def one_face(self, *, largest: bool = False) -> SeenFace:
        """The face that is meant, good enough.

        Raises DataError where there is none, where there are several and not the `largest` is
        asked for, and where it breaks the limits; each with the reason.
        """
        if not self.faces:
            raise DataError(
                f"{self.name}: no face found in {self.width} x {self.height} pixels. Give a "
                "photograph with a face of 20 pixels or more, not on its side."
            )
        place = 0
        if len(self.faces) > 1:
            faces = [face.found for face in self.faces if face.found is not None]
            if not largest:
                shown = "; ".join(f"{n}: {_where(face)}" for n, face in enumerate(faces, 1))
                raise DataError(
                    f"{self.name}: {len(faces)} faces ({shown}). Cut the photograph to one of "
                    "them, or take the largest with --largest."
                )
            place = choose_face(faces, self.height, self.width).place
        face = self.faces[place]
        if face.faults:
            raise DataError(
                f"{self.name}: the face is below --min-quality: {'; '.join(face.faults)}. Give a "
                "better photograph, or ask for less."
            )
        return face


class Recogniser:
    """Finds faces with a detector, where it must, and embeds them.

    `detector` makes the detector; it is called once, when the first photograph needs it. `flip`
    sums the embeddings of image and mirror. One object may be used by several threads.
    """

    def __init__(
        self,
        embedder: Embedder,
        detector: Callable[[], Detector],
        *,
        flip: bool,
        limits: Limits | None = None,
        aligned: Aligned = "auto",
    ) -> None:
        self.embedder = embedder
        self.flip = flip
        self._make = detector
        self._detector: Detector | None = None
        self._lock = threading.Lock()
        self._limits = limits or Limits()
        self._aligned = aligned

    def read(self, path: Path) -> SeenPhoto:
        """Look at the photograph in a file. Raises as `see`, and DataError as `read_file`."""
        return self.see(read_file(path), str(path))

    def see(self, data: bytes, name: str) -> SeenPhoto:
        """Look at an encoded photograph, called `name` in messages.

        Raises DataError for a picture that cannot be decoded, or is not square though it is said to
        be aligned; RecipeError where a detector is needed and none is there, MissingExtraError
        where it lacks its library.
        """
        picture = decode_photo(data, name)
        height, width = picture.shape[:2]
        aligned = self._is_aligned(height, width, name)
        faces = [self._aligned_face(picture)] if aligned else self._find(picture, name)
        return SeenPhoto(name, sha256_of_bytes(data), width, height, aligned, faces)

    def embed(self, faces: Sequence[SeenFace]) -> npt.NDArray[np.float32]:
        """The embeddings of faces, float32 (N, D), not normalised; raises as `Embedder.embed`."""
        return embed_faces(self.embedder, [face.crop for face in faces], flip=self.flip)

    def _is_aligned(self, height: int, width: int, name: str) -> bool:
        if self._aligned == "auto":
            return height == width and height in (SIZE, self.embedder.preprocessing.image_size)
        if self._aligned == "yes" and height != width:
            raise DataError(
                f"{name}: an aligned face is square, this picture has {width} x {height} pixels. "
                "Leave --aligned yes out to have its face found."
            )
        return self._aligned == "yes"

    def _aligned_face(self, picture: Pixels) -> SeenFace:
        limits = replace(self._limits, eyes=None, turn=None, score=None)
        face = resize_faces(picture[None], SIZE)[0]
        return SeenFace(picture, None, None, reasons(measure(TEMPLATE, face, 1.0), limits))

    def _find(self, picture: Pixels, name: str) -> list[SeenFace]:
        faces = []
        for found in self._detector_for(picture, name).detect(picture):
            try:
                crop = align_face(picture, found.landmarks)
            except DataError:  # points that coincide, or lie outside: nothing to compare
                continue
            quality = measure(found.landmarks, crop, found.score)
            faces.append(SeenFace(crop, found, quality, reasons(quality, self._limits)))
        return faces

    def _detector_for(self, picture: Pixels, name: str) -> Detector:
        with self._lock:
            if self._detector is None:
                try:
                    self._detector = self._make()
                except RecipeError as error:
                    height, width = picture.shape[:2]
                    raise RecipeError(
                        f"{name} has {width} x {height} pixels, an aligned face {SIZE} x {SIZE}: "
                        f"so its face has to be found, but {error} If it is aligned all the same, "
                        "say so: --aligned yes"
                    ) from error
            return self._detector


def sha256_of_bytes(data: bytes) -> str:
    """What tells a photograph apart: the sha256 of its bytes, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _where(face: Face) -> str:
    left, top, right, bottom = face.box
    return f"{right - left:.0f} x {bottom - top:.0f} pixels at {left:.0f}, {top:.0f}"
