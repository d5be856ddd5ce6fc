"""Faces that lie on their side or stand on their head.

A crop is compared with the average face in all four quarter turns (`mean_face`). One that is more
like it when turned is a candidate; the network then decides where it can: the turned crop must be
clearly more similar to the person's other images than the crop as it is. Where there is no other
image, the average face must be clearer. Limits are ours, see docs/results.md.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.mean_face import turned_likeness
from pocketface.benchmarks.stream import BATCH
from pocketface.embedding.embedder import Embedder
from pocketface.embedding.flip import embed_faces
from pocketface.embedding.unit import unit

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

LIKE, MARGIN = 0.2, 0.1
"""Likeness to the average face that a crop must have when turned, and how much more than as it is.
"""

SURELY_LIKE, SURE_MARGIN = 0.3, 0.2
"""The same where there is no other image of the person to ask the network about."""

GAIN = 0.15
"""How much more similar to the person's other images the turned crop must be."""

WORDS = ("upright", "turned 90 degrees clockwise", "upside down", "turned 90 degrees anticlockwise")


class Candidate(NamedTuple):
    """An image that the average face does not find upright.

    `quarters` anticlockwise turns would put it right; turned so, its likeness is `likeness`, by
    `margin` more than as it is.
    """

    quarters: int
    likeness: float
    margin: float


@dataclass(frozen=True, eq=False)
class Turned:
    """An image that does not stand upright: `quarters` anticlockwise turns would put it right.

    `confirmed` says that the network agreed; it is not asked where the person has no other image.
    `likeness` is that to the average face, and `direction` the unit embedding, float64 (D,), once
    turned.
    """

    image: int
    quarters: int
    confirmed: bool
    likeness: float
    direction: Floats

    @property
    def words(self) -> str:
        """How it lies."""
        return WORDS[self.quarters]


def not_upright(crop: Pixels) -> Candidate | None:
    """How a crop lies by the average face alone; None for one that seems to stand upright."""
    likeness = turned_likeness(crop)
    best = int(np.argmax(likeness))
    margin = float(likeness[best] - likeness[0])
    if likeness[best] < LIKE or margin < MARGIN:
        return None
    return Candidate(best, float(likeness[best]), margin)


def turned_images(
    candidates: dict[int, Candidate],
    crops: dict[int, Pixels],
    directions: Floats,
    people: Ints,
    embedder: Embedder,
    *,
    flip: bool,
) -> list[Turned]:
    """Which candidates (by image) do lie on their side, in the images' order.

    `crops` holds their pixels, `directions` float64 (n, D) all images' unit embeddings, `people`
    int64 (n,) who is on each. Raises what `embedder.embed` raises, WeightsError for embeddings
    that are zero.
    """
    if not candidates:
        return []
    images = sorted(candidates)
    righted = []
    for start in range(0, len(images), BATCH):
        turned = [
            np.ascontiguousarray(np.rot90(crops[i], candidates[i].quarters))
            for i in images[start : start + BATCH]
        ]
        righted.append(unit(embed_faces(embedder, turned, flip=flip)))
    suspect = np.zeros(len(people), np.bool_)
    suspect[images] = True
    found = []
    for i, direction in zip(images, np.concatenate(righted), strict=True):
        others = directions[(people == people[i]) & ~suspect]
        quarters, likeness, margin = candidates[i]
        if not len(others):
            if likeness >= SURELY_LIKE and margin >= SURE_MARGIN:
                found.append(Turned(i, quarters, False, likeness, direction))
            continue
        gain = (direction - directions[i]) @ unit(others.sum(axis=0, keepdims=True))[0]
        if gain >= GAIN:
            found.append(Turned(i, quarters, True, likeness, direction))
    return found
