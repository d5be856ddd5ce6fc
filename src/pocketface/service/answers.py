"""What the service answers, as its OpenAPI description tells it."""

from typing import Literal

from pydantic import BaseModel, Field

Verdict = Literal["same person", "different people", "undecided", "too poor"]
Known = Literal["known", "unknown", "undecided", "too poor"]


class FaceQuality(BaseModel):
    """Figures of a face."""

    eyes: float = Field(description="distance of the eyes in pixels of the photograph")
    turn: float = Field(description="degrees to the side, positive to the picture's right")
    roll: float = Field(description="degrees that the line of the eyes leans, clockwise")
    sharpness: float = Field(description="share of contrast in the finest detail, 0 to about 0.3")
    brightness: float = Field(description="mean luma, 0 to 255")


class FaceSeen(BaseModel):
    """A face of a photograph, in pixels of the upright photograph, x right and y down.

    Box, landmarks, score and quality are null for a picture that was an aligned face itself.
    """

    box: tuple[float, float, float, float] | None = Field(description="left, top, right, bottom")
    landmarks: list[tuple[float, float]] | None = Field(
        description="five points: eye on the picture's left, on its right, nose, mouth's corners"
    )
    score: float | None = Field(description="the detector's, 0 to 1")
    quality: FaceQuality | None
    faults: list[str] = Field(description="why the face is not good enough; empty if it is")
    crop: str | None = Field(description="the aligned face as a PNG data address, if asked for")


class PhotoSeen(BaseModel):
    """A photograph that was looked at."""

    name: str
    width: int
    height: int
    aligned: bool = Field(description="whether it was taken for an aligned face")
    faces: list[FaceSeen] = Field(description="the highest score first")
    more_faces: int = Field(description="how many beyond these were found and left out")
    taken: int | None = Field(description="the place of the face that was compared")
    why_taken: str


class Limit(BaseModel):
    """The similarity from which on two faces count as one person's, and what is known of it."""

    similarity: float = Field(description="a cosine, -1 to 1")
    far: float | None = Field(description="false accept rate, of pairs of two people")
    tar: float | None = Field(description="share of one person's pairs that pass")
    measured_on: str | None
    impostor_pairs: int | None


class Verification(BaseModel):
    """Whether two photographs show one person."""

    verdict: Verdict
    similarity: float = Field(description="a cosine, -1 to 1")
    threshold: Limit | None
    probability: float | None = Field(
        description="of one person, at even odds, where the network is calibrated"
    )
    first: PhotoSeen
    second: PhotoSeen


class Candidate(BaseModel):
    """A person of the gallery and their similarity to a face."""

    person: str
    similarity: float


class Rate(BaseModel):
    """The expected chance that a stranger is taken for somebody, in this gallery.

    From the threshold's false accept rate as if comparisons were independent: `least` counts one
    for each person, `most` one for each template.
    """

    least: float
    most: float


class GallerySize(BaseModel):
    """How large the gallery is, and what that means for strangers."""

    people: int
    templates: int
    false_positive_rate: Rate | None = Field(description="null where no rate is known")


class FaceIdentified(FaceSeen):
    """A face and who it is."""

    verdict: Known
    person: str | None = Field(description="null for somebody unknown")
    candidates: list[Candidate] = Field(description="the most similar first, whatever the verdict")


class Identification(BaseModel):
    """Who is on a photograph."""

    name: str
    width: int
    height: int
    aligned: bool
    faces: list[FaceIdentified]
    more_faces: int
    threshold: Limit | None
    gallery: GallerySize


class Enrolment(BaseModel):
    """What was enrolled."""

    person: str
    added: int = Field(description="new templates")
    known: int = Field(description="photographs that the person had before")
    resembles: list[Candidate] = Field(
        description="other people whom these faces reach the threshold with: perhaps one person"
    )
    photos: list[PhotoSeen]


class PersonEnrolled(BaseModel):
    """A person of the gallery."""

    name: str
    templates: int


class People(BaseModel):
    """Everybody, in the order of names; `total` where only a part is given."""

    people: list[PersonEnrolled]
    total: int


class Removal(BaseModel):
    """Who was removed, and how many templates with them."""

    person: str
    removed: int


class Health(BaseModel):
    """That the service answers."""

    status: Literal["ok"] = "ok"
    version: str


class Operating(BaseModel):
    """A threshold of the network's card."""

    far: float
    similarity: float


class About(BaseModel):
    """What the service runs with; the page draws its scale from it."""

    version: str
    model: str
    embedding_size: int
    threshold: Limit | None
    operating_points: list[Operating] = Field(description="of the benchmark that was chosen")
    calibrated: bool
    gallery: GallerySize | None
    keeps_crops: bool
    max_body_bytes: int
    max_pixels: int
    max_photos: int
