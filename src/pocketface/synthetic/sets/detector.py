"""What a face detector would say of a rendered face: five landmarks, a little off, and a score."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketface.synthetic.nuisance import Nuisance
from pocketface.synthetic.sets.shot import LOOSE_TO_ALIGNED


class Detection(NamedTuple):
    """`landmarks` float32 (5, 2), x and y in pixels; `score` in (0, 1)."""

    landmarks: npt.NDArray[np.float32]
    score: float


def detect(
    nuisance: Nuisance, landmarks: npt.NDArray[np.float32], size: int, rng: np.random.Generator
) -> Detection:
    """Find the face in a loose crop of `size` pixels whose true landmarks are `landmarks`.

    The landmarks are off by the nuisance's own `landmark_shift`. The score falls as the face turns
    away, blurs, coarsens or hides behind a mask; its course is ours.
    """
    shift = nuisance.landmark_shift * (LOOSE_TO_ALIGNED * size / 112)
    fault = (
        0.40 * (nuisance.yaw / 90) ** 2
        + 0.10 * (nuisance.pitch / 30) ** 2
        + 0.20 * np.clip((nuisance.blur - 0.6) / 2.9, 0, 1)
        + 0.20 * np.clip(1 - nuisance.resolution / 112, 0, 1)
        + 0.15 * nuisance.mask
        + 0.02 * abs(rng.standard_normal())
    )
    return Detection((landmarks + shift).astype(np.float32), float(np.clip(1 - fault, 0.2, 0.9999)))
