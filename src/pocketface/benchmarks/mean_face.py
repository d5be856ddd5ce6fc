"""Where the average face of many crops lies: one similarity transform for the whole set.

The average of many faces keeps what they share, and a wrong crop is shared by all of them. It is
compared with the average of aligned synthetic people (`mean_face.npy`, made by
`experiments/mean_face.py`): the shift, scale and rotation of that template under which the two
correlate best are the set's misalignment. The method and its constants are ours.

Coordinates are pixels (x, y) of a 112 x 112 crop; transforms keep the point `CENTRE`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float64]

SIDE = 56
"""Height and width of an average face."""

CENTRE = (55.5, 65.5)
_WINDOW = (32.0, 38.0)
"""Half width and height of what is compared: brows to chin, without hair and background."""


@dataclass(frozen=True)
class Placement:
    """How faces lie in their crops, measured against the template.

    Attributes:
        scale: 1 where faces are as large as they should be, less where they are too small.
        degrees: rotation, clockwise as one looks at the picture.
        right, down: shift in pixels of a 112 x 112 crop.
        likeness: correlation with the template at this place, -1 to 1.
    """

    scale: float
    degrees: float
    right: float
    down: float
    likeness: float

    def move(self, points: Floats) -> Floats:
        """Where `points`, float64 (N, 2), of the template lie in the crops."""
        turn = np.deg2rad(self.degrees)
        matrix = self.scale * np.array(
            [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        )
        moved: Floats = (points - CENTRE) @ matrix.T + CENTRE + (self.right, self.down)
        return moved


def mean_face(crops: Sequence[npt.NDArray[np.uint8]]) -> Floats:
    """The average of square crops, uint8 (H, H, 3) RGB: grey, each brought to mean 0, deviation 1.

    Gives float64 (56, 56).
    """
    total = np.zeros((SIDE, SIDE))
    for crop in crops:
        small = Image.fromarray(crop).convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        pixels = np.asarray(small, np.float64)
        total += (pixels - pixels.mean()) / (pixels.std() + 1e-6)
    mean: Floats = total / len(crops)
    return mean


def place(mean: Floats) -> Placement:
    """Where the faces behind an average face, float64 (56, 56), lie in their crops."""
    fine, template = _detail(mean), _template()
    coarse, coarse_template = _halve(fine), _halve(template)
    # Log scale, radians, and two shifts. Nine beginnings: the climb finds the nearest hill only.
    starts = [np.array([s, r, 0.0, 0.0]) for s in (-0.35, 0, 0.35) for r in (-0.35, 0, 0.35)]
    found = [
        _climb(coarse, coarse_template, start, np.array([0.15, 0.15, 6.0, 6.0]), 1.0)
        for start in starts
    ]
    best = max(found, key=lambda entry: entry[0])
    likeness, (scale, turn, right, down) = _climb(
        fine, template, best[1], np.array([0.04, 0.04, 1.5, 1.5]), 0.2
    )
    return Placement(
        scale=float(np.exp(scale)),
        degrees=float(np.rad2deg(turn)),
        right=float(right),
        down=float(down),
        likeness=likeness,
    )


def turned_likeness(crop: npt.NDArray[np.uint8]) -> Floats:
    """How like the template a crop is, turned anticlockwise by 0, 1, 2 and 3 quarters.

    `crop` is square, uint8 (H, H, 3) RGB; gives the correlations where they stand, float64 (4,).
    """
    fine, weights, template = _detail(mean_face([crop])), _window(SIDE), _template()
    return np.array([_correlation(np.rot90(fine, k), template, weights) for k in range(4)])


def _climb(
    picture: Floats, template: Floats, start: Floats, step: Floats, finest: float
) -> tuple[float, Floats]:
    """The best likeness near `start` and where it is; steps are halved until `finest` pixels."""
    here, best = start, _likeness(picture, template, start)
    while step[-1] > finest:
        moved = False
        for direction in np.concatenate([np.diag(step), -np.diag(step)]):
            likeness = _likeness(picture, template, here + direction)
            if likeness > best:
                here, best, moved = here + direction, likeness, True
        if not moved:
            step = step / 2
    return best, here


def _likeness(picture: Floats, template: Floats, at: Floats) -> float:
    """Weighted correlation of `picture` with the template moved to `at`, inside its window."""
    side = len(picture)
    x, y = _grid(side)
    scale, cosine, sine = np.exp(at[0]), np.cos(at[1]), np.sin(at[1])
    across, along = x - CENTRE[0] - at[2], y - CENTRE[1] - at[3]
    u, v = (cosine * across + sine * along) / scale, (cosine * along - sine * across) / scale
    weights = _fading(u, v)
    column = (u + CENTRE[0] + 0.5) * side / 112 - 0.5
    row = (v + CENTRE[1] + 0.5) * side / 112 - 0.5
    inside = (column >= 0) & (column <= side - 1) & (row >= 0) & (row <= side - 1)
    # What lies outside the crop cannot be compared; too little inside says nothing.
    kept = weights * inside
    whole = np.pi * _WINDOW[0] * _WINDOW[1] * (side / 112) ** 2 * min(scale**2, 1.0)
    if kept.sum() < 0.5 * whole:
        return -1.0
    return _correlation(picture, _bilinear(template, column, row), kept)


def _correlation(picture: Floats, template: Floats, weights: Floats) -> float:
    """The weighted correlation of two pictures of one size; 0 where one of them is flat."""
    a = picture - np.average(picture, weights=weights)
    b = template - np.average(template, weights=weights)
    power = np.sqrt((weights * a * a).sum() * (weights * b * b).sum())
    return float((weights * a * b).sum() / power) if power > 1e-12 else 0.0


def _fading(u: Floats, v: Floats) -> Floats:
    """The weights of the window at places `u` right and `v` down of its centre."""
    weights: Floats = np.exp(-(((u / _WINDOW[0]) ** 2 + (v / _WINDOW[1]) ** 2) ** 2))
    return weights


@cache
def _window(side: int) -> Floats:
    """The weights of the window where the template stands, in a picture of this side."""
    x, y = _grid(side)
    return _fading(x - CENTRE[0], y - CENTRE[1])


def _bilinear(picture: Floats, column: Floats, row: Floats) -> Floats:
    """`picture` at fractional places; beyond its border the border's value."""
    column = np.clip(column, 0, picture.shape[1] - 1.001)
    row = np.clip(row, 0, picture.shape[0] - 1.001)
    j, i = column.astype(np.intp), row.astype(np.intp)
    a, b = column - j, row - i
    above = (1 - a) * picture[i, j] + a * picture[i, j + 1]
    below = (1 - a) * picture[i + 1, j] + a * picture[i + 1, j + 1]
    found: Floats = (1 - b) * above + b * below
    return found


@cache
def _grid(side: int) -> tuple[Floats, Floats]:
    """The places x, y of the pixels of a picture of this side, on the scale of 112."""
    places = (np.arange(side) + 0.5) * 112 / side - 0.5
    x, y = np.meshgrid(places, places)
    return x, y


@cache
def _template() -> Floats:
    """The average of aligned synthetic people, its detail only."""
    path = resources.files("pocketface.benchmarks") / "mean_face.npy"
    with path.open("rb") as handle:
        stored = np.load(handle, allow_pickle=False).astype(np.float64)
    return _detail(stored)


def _detail(picture: Floats) -> Floats:
    """Eyes, nose and mouth without the slow changes of light and hair: a band of frequencies."""
    return _blur(picture, 1.0) - _blur(picture, 6.0)


def _blur(picture: Floats, sigma: float) -> Floats:
    reach = int(3 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(picture, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    windows = np.lib.stride_tricks.sliding_window_view(windows @ kernel, 2 * reach + 1, axis=1)
    blurred: Floats = windows @ kernel
    return blurred


def _halve(picture: Floats) -> Floats:
    side = len(picture) // 2
    halved: Floats = picture.reshape(side, 2, side, 2).mean(axis=(1, 3))
    return halved
