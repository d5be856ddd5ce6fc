"""Photographs as they came to faces, and faces to what is answered about them."""

import base64
import io
from dataclasses import dataclass

from PIL import Image

from pocketface.data.jpeg import encode_png, quiet_pillow
from pocketface.detect.detector import choose_face
from pocketface.detect.recognise import Recogniser, SeenFace, SeenPhoto
from pocketface.errors import PocketFaceError
from pocketface.service.answers import FaceQuality, FaceSeen, PhotoSeen
from pocketface.service.bounds import MAX_FACES, Bounds
from pocketface.service.form import Upload
from pocketface.service.refusal import RefusedError, refusal_of

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
"""Those that `detect.photo` reads; any other is told there."""


@dataclass(frozen=True, eq=False)
class Looked:
    """A photograph that was looked at; `faces` are its first `MAX_FACES`, `more` the others."""

    photo: SeenPhoto
    faces: list[SeenFace]
    more: int

    def chosen(self) -> tuple[int, str]:
        """The place of the face that the photograph is of, and why that one.

        Raises RefusedError (422) where there is none.
        """
        if not self.faces:
            raise no_face(self.photo)
        found = [face.found for face in self.faces if face.found is not None]
        if not found:
            return 0, "an aligned face"
        choice = choose_face(found, self.photo.height, self.photo.width)
        return choice.place, choice.reason


def look(recogniser: Recogniser, upload: Upload, field: str, bounds: Bounds) -> Looked:
    """Find the faces of a photograph.

    Raises RefusedError (422) for what is no picture, broken, or of more pixels than the bounds
    allow, before they are decoded.
    """
    name = f"{field} ({upload.name})"
    try:
        _check_pixels(upload.data, name, bounds.pixels)
        photo = recogniser.see(upload.data, name)
    except PocketFaceError as error:
        raise refusal_of(
            error,
            422,
            "A JPEG, PNG, WebP, TIFF, BMP, GIF, PGM or PPM picture of at most "
            f"{bounds.pixels:,} pixels.",
        ) from error
    return Looked(photo, photo.faces[:MAX_FACES], max(len(photo.faces) - MAX_FACES, 0))


def no_face(photo: SeenPhoto) -> RefusedError:
    """That a photograph shows no face."""
    return RefusedError(
        422,
        f"{photo.name}: no face found in {photo.width} x {photo.height} pixels.",
        "A photograph with a face of 20 pixels or more, not on its side.",
        "Take another photograph.",
    )


def describe_photo(looked: Looked, taken: int | None, why: str, *, crops: bool) -> PhotoSeen:
    """A photograph as it is answered."""
    photo = looked.photo
    return PhotoSeen(
        name=photo.name,
        width=photo.width,
        height=photo.height,
        aligned=photo.aligned,
        faces=[describe_face(face, crops=crops) for face in looked.faces],
        more_faces=looked.more,
        taken=taken,
        why_taken=why,
    )


def describe_face(face: SeenFace, *, crops: bool) -> FaceSeen:
    """A face as it is answered, with its aligned pixels if `crops`."""
    found, quality = face.found, face.quality
    crop = None
    if crops:
        crop = "data:image/png;base64," + base64.b64encode(encode_png(face.crop)).decode()
    return FaceSeen(
        box=None if found is None else found.box,
        landmarks=None if found is None else [(x, y) for x, y in found.landmarks.tolist()],
        score=None if found is None else found.score,
        quality=None
        if quality is None
        else FaceQuality(
            eyes=quality.eyes,
            turn=quality.turn,
            roll=quality.roll,
            sharpness=quality.sharpness,
            brightness=quality.brightness,
        ),
        faults=face.faults,
        crop=crop,
    )


def _check_pixels(data: bytes, name: str, most: int) -> None:
    """Refuse a picture by what its header claims; one without a header is told of later."""
    try:
        with quiet_pillow(), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        width, height = most, 2  # more than Pillow's own limit: decoding says so as well
    except Exception:  # Pillow has no one error for what it cannot read
        return
    if width * height > most:
        raise RefusedError(
            422,
            f"{name}: the picture claims more than {most:,} pixels.",
            f"At most {most:,} pixels.",
            "Make it smaller, or start the service with a larger --max-pixels.",
        )
