"""YuNet, a small face detector, run by OpenCV (`FaceDetectorYN`). OpenCV is imported when used.

Faces of 10 to 300 pixels are what YuNet was trained on (OpenCV Zoo, face_detection_yunet). So a
photograph is brought to a working size before it is looked at: a large one is shrunk, a very small
one enlarged; where nothing is found it is looked at once more at half that size, since a face that
fills a large picture is beyond those 300 pixels (of 24 faces that filled their pictures 23 were
found at 640 pixels, all at 320). Coordinates come back in the photograph's pixels.
"""

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketface.detect.detector import Face
from pocketface.detect.onnx_shape import with_input_shape
from pocketface.errors import DataError, MissingExtraError, RecipeError, WeightsError

WORKING_SIZE = 640
"""The longer side of a photograph as YuNet sees it, in pixels."""

SMALLEST_SIZE = 128
"""A photograph whose longer side is shorter is enlarged to it (ours; YuNet's stride is 32)."""

MIN_SCORE = 0.6
"""At this score YuNet finds the face of each of our 58 photographs, at 0.9 of 56 (facts.md)."""

_OVERLAP = 0.3
_MOST_FACES = 5000


class YuNet:
    """A `Detector` from a YuNet file, `.onnx`, with fixed or free sides; OpenCV 4.10 or later.

    `min_score` in (0, 1) is the lowest score of a face that counts; `working_size`, 64 to 4096, the
    longer side in pixels at which large photographs are looked at: more finds smaller faces and
    takes longer. One object may be used by several threads, one at a time.

    Raises MissingExtraError without OpenCV; WeightsError for a file that cannot be read or that
    OpenCV cannot run as a YuNet; RecipeError for numbers outside their ranges.
    """

    def __init__(
        self, path: Path, *, min_score: float = MIN_SCORE, working_size: int = WORKING_SIZE
    ) -> None:
        if not 0 < min_score < 1:
            raise RecipeError(f"the lowest score must lie between 0 and 1, got {min_score:g}.")
        if not 64 <= working_size <= 4096:
            raise RecipeError(f"the working size must be 64 to 4096 pixels, got {working_size}.")
        self.working_size = working_size
        self._cv2 = import_opencv()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise WeightsError(
                f"{path}: the detector cannot be read: {error.strerror}. Give the YuNet file's "
                "name, or get it with: pocketface detector fetch"
            ) from error
        self.fingerprint = hashlib.sha256(content).hexdigest()
        self._network = _open(self._cv2, content, path, min_score)
        self._lock = threading.Lock()

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Face]:
        """The faces of a photograph, `uint8 (H, W, 3)` RGB, the highest score first.

        Raises DataError for an image of another shape or dtype, or that OpenCV fails at.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise DataError(
                "a photograph must be uint8 of shape (height, width, 3), got "
                f"{image.dtype} {image.shape}."
            )
        longer = max(image.shape[:2])
        size = min(max(longer, SMALLEST_SIZE), self.working_size)
        found = self._look(image, size)
        if not found and size > 2 * SMALLEST_SIZE:
            found = self._look(image, size // 2)
        return sorted(found, key=lambda face: -face.score)

    def _look(self, image: npt.NDArray[np.uint8], size: int) -> list[Face]:
        """The faces of `image` seen with a longer side of `size`."""
        cv2 = self._cv2
        height, width = image.shape[:2]
        scale = size / max(height, width)
        # A side of a long strip must not vanish.
        seen = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = np.ascontiguousarray(image[:, :, ::-1])
        if seen != (width, height):
            method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            picture = cv2.resize(picture, seen, interpolation=method)
        with self._lock:
            try:
                self._network.setInputSize(seen)
                _, rows = self._network.detect(picture)
            except cv2.error as error:
                raise DataError(
                    f"OpenCV cannot look at a picture of {width} x {height} pixels: "
                    f"{' '.join(str(error).split())[:200]}. Leave it out."
                ) from error
        if rows is None:
            return []
        back = np.array([width / seen[0], height / seen[1]])
        return [_face(row, back) for row in np.asarray(rows, np.float64) if np.isfinite(row).all()]


def import_opencv() -> ModuleType:
    """OpenCV's module. Raises MissingExtraError if it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("Finding faces in photographs", "detect") from error
    module: ModuleType = cv2
    return module


def _face(row: npt.NDArray[np.float64], back: npt.NDArray[np.float64]) -> Face:
    """A row of OpenCV's: left, top, width, height, five points, score.

    The points begin with the person's right eye, which is the picture's left one, as ours do.
    """
    left, top = row[:2] * back
    right, bottom = (row[:2] + row[2:4]) * back
    points = row[4:14].reshape(5, 2) * back
    score = float(min(max(row[14], 0.0), 1.0))
    return Face((float(left), float(top), float(right), float(bottom)), score, points)


def _open(cv2: ModuleType, content: bytes, path: Path, min_score: float) -> Any:
    """The network, tried once on an empty picture: another network fails only when it runs."""
    try:
        if int(cv2.__version__.split(".")[0]) < 5:
            content = with_input_shape(content, (1, 3, 640, 640))
        with _silent(cv2):
            network = cv2.FaceDetectorYN.create(
                "onnx",
                np.frombuffer(content, np.uint8),
                np.empty(0, np.uint8),
                (64, 64),
                min_score,
                _OVERLAP,
                _MOST_FACES,
            )
            network.detect(np.zeros((64, 64, 3), np.uint8))
    except (cv2.error, ValueError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"{path} is not a YuNet face detector that OpenCV {cv2.__version__} can run: "
            f"{reason[:200]}. Get one with: pocketface detector fetch"
        ) from error
    return network


@contextlib.contextmanager
def _silent(cv2: ModuleType) -> Iterator[None]:
    """Keep OpenCV from writing to the terminal what the error will say."""
    logging = cv2.utils.logging
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
