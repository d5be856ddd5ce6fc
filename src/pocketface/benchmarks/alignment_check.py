"""Whether faces are aligned to the 112 x 112 template: the commonest cause of low scores.

Both checks say what is wrong in one sentence, or nothing. Their limits are ours: correct sets
stay well below them, see `docs/results.md`.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.mean_face import mean_face, place
from pocketface.data.alignment import TEMPLATE, landmark_errors

_MISFIT = 8.0
"""Pixels: landmarks that fit worse than this in the middle are not those of the template."""

_DISPLACED = 4.0
"""Pixels that a set's faces may stand away from the template, root mean square of its points."""

_UNLIKE = 0.6
"""Correlation with the template below which the crops show something else."""

_ENOUGH = 100
_SAMPLE = 300
"""Fewer crops say too little about a set; more say no more."""

_MIRRORED = [1, 0, 2, 4, 3]
"""The landmarks with left and right exchanged."""


def landmark_fit(landmarks: npt.NDArray[np.floating]) -> str | None:
    """A warning if the landmarks (N, 5, 2) are not those of the template, else None.

    The order must be left eye, right eye, nose, left and right corner of the mouth, as one looks
    at the picture; each point is x, y in pixels. Raises DataError as `landmark_errors`.
    """
    if not len(landmarks):
        return None
    middle = float(np.median(landmark_errors(landmarks)))
    if middle <= _MISFIT:
        return None
    mirrored = float(np.median(landmark_errors(landmarks[:, _MIRRORED]))) <= _MISFIT
    hint = (
        "They would fit mirrored: left and right, top and bottom, or x and y are exchanged"
        if mirrored
        else "Check their order: left eye, right eye, nose, left and right corner of the mouth"
    )
    return (
        f"Warning: the landmarks do not fit the 112 x 112 template: after the best shift, scale "
        f"and rotation they are {middle:.1f} pixels off in the middle of {len(landmarks):,} faces "
        f"({_MISFIT:g} are allowed). {hint}. Scores are lower than the network deserves."
    )


def sample_of(count: int) -> npt.NDArray[np.int64]:
    """Which of `count` images to look at for `crop_fit`: 300 of them, evenly spaced, or all."""
    return np.unique(np.linspace(0, count - 1, min(count, _SAMPLE)).round().astype(np.int64))


def crop_fit(crops: Sequence[npt.NDArray[np.uint8]]) -> str | None:
    """A warning if the faces in square crops, uint8 (H, H, 3) RGB, are not aligned, else None.

    It tells a fault that all crops share, such as another template or a detector's box. Fewer
    than 100 crops are not judged, and a stretch of one axis is not seen.
    """
    if len(crops) < _ENOUGH:
        return None
    placed = place(mean_face(crops))
    if placed.likeness < _UNLIKE:
        return (
            f"Warning: the average of {len(crops)} of the images does not look like an aligned, "
            f"upright face (likeness {placed.likeness:.2f}, {_UNLIKE:g} is wanted). If these are "
            "faces, align them to the 112 x 112 five-point template first."
        )
    away = np.sqrt(np.square(placed.move(TEMPLATE) - TEMPLATE).sum(axis=1).mean())
    if away <= _DISPLACED:
        return None
    return (
        f"Warning: the faces are not aligned as the 112 x 112 five-point template wants them: on "
        f"average they are {_described(placed.scale, placed.degrees, placed.right, placed.down)} "
        f"(eyes, nose and mouth {away:.1f} pixels off, {_DISPLACED:g} are allowed). Scores are "
        "lower than the network deserves. Align the photographs again, by their landmarks."
    )


def _described(scale: float, degrees: float, right: float, down: float) -> str:
    """The parts of a misplacement that matter, in words."""
    parts = []
    if abs(scale - 1) > 0.05:
        parts.append(f"{abs(scale - 1):.0%} too {'large' if scale > 1 else 'small'}")
    if abs(degrees) > 3:
        parts.append(f"turned by {abs(degrees):.0f} degrees")
    if abs(right) > 2:
        parts.append(f"{abs(right):.0f} pixels too far {'right' if right > 0 else 'left'}")
    if abs(down) > 2:
        parts.append(f"{abs(down):.0f} pixels too {'low' if down > 0 else 'high'}")
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
