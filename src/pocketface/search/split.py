"""The two halves of a search's images: one trains the weights, the other judges the cells."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocketface.data import Faces
from pocketface.data.fault import Fault
from pocketface.data.fingerprint import joint_fingerprint
from pocketface.errors import DataError, RecipeError

Indices = npt.NDArray[np.int64]


class PartOfFaces:
    """Some images of a training set; people and their labels are those of the whole set."""

    def __init__(self, faces: Faces, indices: Indices) -> None:
        self.whole = faces
        self.indices = indices
        self.labels: npt.NDArray[np.int64] = np.asarray(faces.labels, np.int64)[indices]
        self.faults: list[Fault] = list(faces.faults)

    @property
    def people(self) -> Sequence[str]:
        """A name per label."""
        return self.whole.people

    def __len__(self) -> int:
        return len(self.indices)

    def encoded(self, i: int) -> bytes:
        """The encoded bytes of image `i`."""
        return self.whole.encoded(int(self.indices[i]))

    def name(self, i: int) -> str:
        """The whole set's name for the image."""
        return self.whole.name(int(self.indices[i]))

    def fingerprint(self) -> str:
        """The whole set's fingerprint joined with which images were taken."""
        return joint_fingerprint([self.whole.fingerprint(), str(self.indices.tolist())])


def halves(labels: Indices, seed: int) -> tuple[Indices, Indices]:
    """Split images in two, each person's as equally as can be, at random.

    No image stands in both halves, and each stands in one. Where a person's images are odd in
    number, the halves take the image over in turns, the first half beginning; so a person with
    one image is in one half only.

    Args:
        labels: int64 (N,), who is on each image.
        seed: of the choice.

    Returns:
        The images of the weights' half and of the architecture's, each int64 and rising.
    """
    rng = np.random.default_rng(seed)
    parts: tuple[list[Indices], list[Indices]] = ([], [])
    turn = 0
    for person in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == person))
        middle = len(own) // 2
        if len(own) % 2:
            middle += turn == 0
            turn = 1 - turn
        parts[0].append(own[:middle])
        parts[1].append(own[middle:])
    first, second = (np.sort(np.concatenate(part)) for part in parts)
    return first, second


def split_faces(faces: Faces, seed: int, batch_size: int) -> tuple[PartOfFaces, PartOfFaces]:
    """Give the half that trains the weights and the half that the architecture is judged by.

    Raises:
        DataError: if an image is of nobody known, or all are of one person.
        RecipeError: if a half is smaller than a batch.
    """
    labels = np.asarray(faces.labels, np.int64)
    if (labels < 0).any():
        raise DataError(
            f"{int((labels < 0).sum())} images are of nobody known, and a search learns to tell "
            "people apart. Give labelled images only."
        )
    people = len(np.unique(labels))
    if people < 2:
        raise DataError(
            f"the images are of {people} person, and a search learns to tell people apart: it "
            "needs at least two. Give a folder that holds one folder per person."
        )
    first, second = halves(labels, seed)
    least = min(len(first), len(second))
    if least < batch_size:
        raise RecipeError(
            f"half of the {len(labels)} images are {least}, fewer than one batch of {batch_size}. "
            "Lower batch_size or add images."
        )
    return PartOfFaces(faces, first), PartOfFaces(faces, second)
