"""One photograph to one aligned face, with everything that is worth saying about it."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketface.data.alignment import align_face
from pocketface.detect.detector import Detector, choose_face
from pocketface.detect.photo import decode_photo
from pocketface.detect.quality import Limits, Quality, measure, reasons
from pocketface.errors import DataError

ALIGNED, NOT_FOUND, TOO_POOR, UNREADABLE = RESULTS = (
    "aligned",
    "no face found",
    "below --min-quality",
    "unreadable",
)
"""What can become of a photograph."""


@dataclass
class Outcome:
    """What became of the photograph `photo`, a path below its folder with `/` between names.

    `result` is one of `RESULTS`; `why`: the error's text, or the limits that were broken. `faces`
    is how many were found; of those `taken` says which was taken and why, `box` (left, top, right,
    bottom) and `landmarks` (5 times x, y) where it lies in pixels of the upright photograph, and
    `quality` how good it is. `width` and `height` are the photograph's, `crop` the path of the
    written face below its folder. What is not known is empty or None.
    """

    photo: str
    result: str
    why: list[str] = field(default_factory=list)
    width: int = 0
    height: int = 0
    faces: int = 0
    taken: str = ""
    box: list[float] = field(default_factory=list)
    landmarks: list[list[float]] = field(default_factory=list)
    quality: Quality | None = None
    crop: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Outcome":
        """What `to_json` gave. Raises TypeError or KeyError for anything else."""
        quality = values["quality"]
        return cls(**(values | {"quality": None if quality is None else Quality(**quality)}))


def align_photo(
    data: bytes, name: str, detector: Detector, limits: Limits
) -> tuple[Outcome, npt.NDArray[np.uint8] | None]:
    """Find the face of an encoded photograph and cut it out, uint8 (112, 112, 3).

    The face is None where there is none, or it breaks `limits`; nothing is raised for a photograph
    that cannot be read, since its outcome says so.
    """
    try:
        image = decode_photo(data, name)
        found = detector.detect(image)
    except DataError as error:
        return Outcome(name, UNREADABLE, [str(error)]), None
    outcome = Outcome(name, NOT_FOUND, faces=len(found))
    outcome.height, outcome.width = image.shape[:2]
    if not found:
        return outcome, None
    choice = choose_face(found, *image.shape[:2])
    face = found[choice.place]
    try:
        aligned = align_face(image, face.landmarks)
    except DataError as error:  # points that coincide, from a detector of little worth
        outcome.why = [str(error)]
        return outcome, None
    outcome.taken = choice.reason
    outcome.box = [round(side, 2) for side in face.box]
    outcome.landmarks = np.round(face.landmarks, 3).tolist()
    outcome.quality = measure(face.landmarks, aligned, face.score)
    outcome.why = reasons(outcome.quality, limits)
    outcome.result = TOO_POOR if outcome.why else ALIGNED
    return outcome, None if outcome.why else aligned
