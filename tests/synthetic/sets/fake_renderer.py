"""A renderer that is quick: a coarse pattern of the person, moved and tinted by the circumstances.

It stands in a module of its own so that spawned processes can import it.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pocketface.synthetic.identity import Identity
from pocketface.synthetic.nuisance import Nuisance

TEMPLATE = np.array(
    [[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]]
)


class Picture(NamedTuple):
    images: np.ndarray
    landmarks: np.ndarray


def render(
    identities: Sequence[Identity],
    nuisances: Sequence[Nuisance],
    size: int = 112,
    *,
    aligned: bool = True,
) -> Picture:
    images = np.empty((len(identities), size, size, 3), np.uint8)
    landmarks = np.empty((len(identities), 5, 2), np.float32)
    for i, (person, n) in enumerate(zip(identities, nuisances, strict=True)):
        pattern = 128 + 40 * np.resize(person.coefficients, (4, 4, 3))
        pattern = pattern + n.yaw + 0.5 * n.age + 3 * n.smile + n.landmark_shift[0, 0]
        grid = np.kron(np.clip(pattern, 0, 255), np.ones((size // 4, size // 4, 1)))
        images[i] = grid.astype(np.uint8)
        landmarks[i] = TEMPLATE * size / (112 if aligned else 200) + n.roll
    return Picture(images, landmarks)


def slow(
    identities: Sequence[Identity],
    nuisances: Sequence[Nuisance],
    size: int = 112,
    *,
    aligned: bool = True,
) -> Picture:
    """The same pictures, long enough in the making to be interrupted."""
    time.sleep(0.5)
    return render(identities, nuisances, size, aligned=aligned)
