"""From a photograph and five landmarks to the aligned 112 x 112 face that networks are shown.

A similarity transform (rotation, one scale, shift; no reflection) takes the landmarks to the
field's template by least squares. In the plane, with points as complex numbers, that is the
straight line w = a z + b of ordinary regression, so it needs no singular values; it is what the
usual estimator gives, wherever that finds no reflection.

Pixel (x, y) lies at the coordinates (x, y), the centre of the pixel, as the template wants it. A
face is sampled bilinearly with black around the photograph. Where the photograph is at least
twice as fine as the aligned face, whole blocks of it are averaged first, and where it is still more
than `FINE` times as fine, four samples make a pixel, so that nothing is skipped (our choice; the
usual warp skips pixels). Of waves too fine for the face, which should vanish, 28 % are left in a
face from a photograph 1.95 times as fine, where one sample a pixel leaves 58 %.

Shapes: N faces, 5 landmarks: left eye, right eye, nose, left and right corner of the mouth, as
they stand in the picture.
"""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketface.errors import DataError

Floats = npt.NDArray[np.float64]

TEMPLATE: Floats = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Where the landmarks of an aligned face lie, x and y in pixels."""

SIZE = 112
"""Height and width of an aligned face in pixels."""

FINE = 1.25
"""How many pixels of the photograph one pixel of the face may step over; beyond, four samples make
one. Below, they would blur more than they mend."""


def fit_similarity(landmarks: npt.NDArray[np.floating]) -> Floats:
    """The similarity transforms of landmarks (N, 5, 2) to the template, float64 (N, 2, 3).

    Row [[p, -q, x], [q, p, y]] takes a point of the photograph to the aligned face. Raises
    DataError for landmarks that are not finite or all at one point.
    """
    points = _points(landmarks)
    wanted = TEMPLATE[:, 0] + 1j * TEMPLATE[:, 1]
    centred = points - points.mean(axis=1, keepdims=True)
    spread = np.square(np.abs(centred)).sum(axis=1)
    faulty = np.flatnonzero(~(np.isfinite(spread) & (spread > 1e-12)))
    if len(faulty):
        raise DataError(
            f"landmarks of face {faulty[0]} are {np.asarray(landmarks)[faulty[0]].tolist()}: they "
            "must be five finite points that do not coincide. Detect the face again, or leave it "
            "out."
        )
    turn = (centred.conj() * (wanted - wanted.mean())).sum(axis=1) / spread
    shift = wanted.mean() - turn * points.mean(axis=1)
    return _as_matrices(turn, shift)


def invert_similarity(matrices: Floats) -> Floats:
    """The transforms back, from aligned faces to their photographs; float64 (N, 2, 3), as given.

    Of `fit_similarity`'s result (N, 2, 3). The inverse of a z + b is (z - b) / a.
    """
    turn = np.asarray(matrices[:, 0, 0] + 1j * matrices[:, 1, 0], np.complex128)
    shift = np.asarray(matrices[:, 0, 2] + 1j * matrices[:, 1, 2], np.complex128)
    return _as_matrices(1 / turn, -shift / turn)


def move(points: npt.NDArray[np.floating], matrix: Floats) -> Floats:
    """Points (P, 2) under one transform (2, 3), float64 (P, 2)."""
    moved: Floats = np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return moved


def landmark_errors(landmarks: npt.NDArray[np.floating]) -> Floats:
    """How far landmarks (N, 5, 2) miss the template after the best similarity, float64 (N,).

    It is the root of the mean squared distance in pixels of the aligned face, whose eyes are 35
    pixels apart: small for a face from the front, larger for a turned one, and more than 15 where
    left and right are exchanged. Raises DataError as `fit_similarity`.
    """
    matrices = fit_similarity(landmarks)
    placed = np.asarray(landmarks, np.float64) @ matrices[:, :, :2].transpose(0, 2, 1)
    placed += matrices[:, None, :, 2]
    errors: Floats = np.sqrt(np.square(placed - TEMPLATE).sum(axis=2).mean(axis=1))
    return errors


def align_face(
    image: npt.NDArray[np.uint8], landmarks: npt.NDArray[np.floating]
) -> npt.NDArray[np.uint8]:
    """Cut the face out of `image`, uint8 (H, W, 3) RGB; gives uint8 (112, 112, 3).

    `landmarks` is (5, 2). Raises DataError as `fit_similarity`, and where the face lies wholly
    outside the picture.
    """
    inverse = invert_similarity(fit_similarity(np.asarray(landmarks)[None]))[0]
    backward, offset = inverse[:, :2], inverse[:, 2]
    finer = math.hypot(*backward[0])
    coarser = max(1, math.floor(finer))
    left, top, right, bottom = _needed(backward, offset, image.shape, 2 * coarser)
    picture = image[top:bottom, left:right]
    offset = offset - (left, top)
    if coarser > 1:
        picture = np.asarray(Image.fromarray(picture).reduce(coarser))
        # A block's centre: pixel 0 of the coarse picture stands for pixels 0 .. coarser - 1.
        backward = backward / coarser
        offset = (offset + 0.5) / coarser - 0.5
    if finer / coarser <= FINE:
        return _rounded(_sample(picture, backward, offset, SIZE))
    # The first of two samples a pixel lies a quarter of a pixel before its centre.
    samples = _sample(picture, backward / 2, offset - backward.sum(axis=1) / 4, 2 * SIZE)
    return _rounded(samples.reshape(SIZE, 2, SIZE, 2, 3).mean(axis=(1, 3)))


def _rounded(face: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.rint(face).astype(np.uint8)


def _as_matrices(turn: npt.NDArray[np.complex128], shift: npt.NDArray[np.complex128]) -> Floats:
    top = np.stack([turn.real, -turn.imag, shift.real], axis=1)
    bottom = np.stack([turn.imag, turn.real, shift.imag], axis=1)
    return np.stack([top, bottom], axis=1)


def _points(landmarks: npt.NDArray[np.floating]) -> npt.NDArray[np.complex128]:
    wide = np.asarray(landmarks, np.float64)
    if wide.ndim != 3 or wide.shape[1:] != (5, 2):
        raise DataError(
            f"landmarks must be five points of x and y, shape (N, 5, 2), got {wide.shape}."
        )
    return np.asarray(wide[:, :, 0] + 1j * wide[:, :, 1])


def _needed(
    backward: Floats, offset: Floats, shape: tuple[int, ...], margin: int
) -> tuple[int, int, int, int]:
    """The part of the photograph that the face is sampled from: left, top, right, bottom."""
    corners = np.array([[0, 0], [SIZE - 1, 0], [0, SIZE - 1], [SIZE - 1, SIZE - 1]])
    places = corners @ backward.T + offset
    limits = np.array([shape[1], shape[0]])
    # Clipped before the conversion: landmarks far away would leave the range of integers.
    low = np.clip(np.floor(places.min(axis=0)) - margin, 0, limits).astype(np.int64)
    high = np.clip(np.ceil(places.max(axis=0)) + 1 + margin, 0, limits).astype(np.int64)
    if (low >= high).any():
        raise DataError(
            f"the landmarks put the face outside the picture of {shape[1]} x {shape[0]} pixels "
            "(width x height). Are they those of another picture?"
        )
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _sample(
    picture: npt.NDArray[np.uint8], backward: Floats, offset: Floats, size: int
) -> npt.NDArray[np.float32]:
    """Bilinear samples (size, size, 3) of `picture` at backward (x, y) + offset, black around."""
    height, width = picture.shape[:2]
    # Pillow repeats the edge for half a pixel and cuts uint8 results down instead of rounding
    # them: a black rim and float channels give the exact samples.
    channels = np.zeros((3, height + 2, width + 2), np.float32)
    channels[:, 1:-1, 1:-1] = picture.transpose(2, 0, 1)
    # Pillow's pixel centres lie at one half.
    shift = offset + 1.5 - backward.sum(axis=1) / 2
    matrix = (*backward[0], shift[0], *backward[1], shift[1])
    face = np.empty((size, size, 3), np.float32)
    for channel in range(3):
        sampled = Image.fromarray(channels[channel]).transform(
            (size, size),
            Image.Transform.AFFINE,
            tuple(float(value) for value in matrix),
            resample=Image.Resampling.BILINEAR,
        )
        face[:, :, channel] = np.asarray(sampled)
    return face
