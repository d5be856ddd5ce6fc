import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketface.data.alignment import (
    SIZE,
    TEMPLATE,
    align_face,
    fit_similarity,
    invert_similarity,
    landmark_errors,
    move,
)
from pocketface.errors import DataError


def moved(points, scale, angle, shift):
    turn = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    return points @ turn.T + shift


def smooth_picture(height, width, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def warp_by_loops(image, matrix, places=(0.0,)):
    """Every pixel of the face on its own, bilinear, black outside.

    `places` are where in a pixel, across and down, samples are taken from its centre.
    """
    height, width = image.shape[:2]
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    face = np.zeros((SIZE, SIZE, 3))
    for row in range(SIZE):
        for column in range(SIZE):
            for right, down in itertools.product(places, places):
                x, y, _ = inverse @ [column + right, row + down, 1]
                x0, y0 = math.floor(x), math.floor(y)
                for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
                    if 0 <= x0 + dx < width and 0 <= y0 + dy < height:
                        share = (1 - abs(x - x0 - dx)) * (1 - abs(y - y0 - dy))
                        face[row, column] += share * image[y0 + dy, x0 + dx]
    return face / len(places) ** 2


@settings(max_examples=60, deadline=None)
@given(st.floats(0.05, 20), st.floats(-3.1, 3.1), st.floats(-900, 900), st.floats(-900, 900))
def test_a_moved_template_is_moved_back(scale, angle, x, y):
    landmarks = moved(TEMPLATE, scale, angle, [x, y])[None]
    matrix = fit_similarity(landmarks)[0]
    back = landmarks[0] @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(back, TEMPLATE, atol=1e-9)
    assert matrix[0, 0] == matrix[1, 1]
    assert matrix[0, 1] == -matrix[1, 0]
    assert landmark_errors(landmarks)[0] < 1e-9


@settings(max_examples=60, deadline=None)
@given(st.floats(0.05, 20), st.floats(-3.1, 3.1), st.floats(-900, 900), st.integers(0, 99))
def test_the_way_back_is_exact(scale, angle, x, seed):
    generator = np.random.default_rng(seed)
    landmarks = moved(TEMPLATE, scale, angle, [x, -x])[None]
    landmarks = landmarks + generator.normal(0, scale, (1, 5, 2))
    matrices = fit_similarity(landmarks)
    back = invert_similarity(matrices)
    points = generator.uniform(-100, 200, (7, 2))
    np.testing.assert_allclose(move(move(points, back[0]), matrices[0]), points, atol=1e-9)
    np.testing.assert_allclose(
        back[0], np.linalg.inv(np.vstack([matrices[0], [0, 0, 1]]))[:2], rtol=1e-9, atol=1e-9
    )


def test_it_is_the_least_squares_fit():
    """Against the normal equations of the four unknowns, written out."""
    generator = np.random.default_rng(0)
    landmarks = TEMPLATE * 1.7 + generator.normal(0, 4, (20, 5, 2))
    for found, points in zip(fit_similarity(landmarks), landmarks, strict=True):
        rows, targets = [], []
        for (x, y), (u, v) in zip(points, TEMPLATE, strict=True):
            rows += [[x, -y, 1, 0], [y, x, 0, 1]]
            targets += [u, v]
        p, q, x, y = np.linalg.lstsq(np.array(rows), np.array(targets), rcond=None)[0]
        np.testing.assert_allclose(found, [[p, -q, x], [q, p, y]], atol=1e-9)


def test_errors_are_root_mean_squares_and_tell_a_wrong_order():
    landmarks = TEMPLATE + np.random.default_rng(1).normal(0, 1, (50, 5, 2))
    matrix = fit_similarity(landmarks)[7]
    left = landmarks[7] @ matrix[:, :2].T + matrix[:, 2] - TEMPLATE
    wanted = math.sqrt(sum(dx * dx + dy * dy for dx, dy in left) / 5)
    assert landmark_errors(landmarks)[7] == pytest.approx(wanted)
    assert landmark_errors(landmarks).max() < 3
    eyes_swapped = TEMPLATE[[1, 0, 2, 4, 3]]
    assert landmark_errors(eyes_swapped[None])[0] > 15


@pytest.mark.parametrize(
    ("scale", "angle", "shift", "places"),
    [
        (1.0, 0.0, (0, 0), (0,)),
        (1.2, 0.4, (40, 10), (0,)),
        (0.6, -1.0, (20, 60), (0,)),
        (1.3, 0.4, (40, 10), (-0.25, 0.25)),
        (1.9, 0.1, (-30, -40), (-0.25, 0.25)),
    ],
)
def test_the_warp_is_that_of_plain_loops(scale, angle, shift, places):
    image = smooth_picture(150, 190)
    landmarks = moved(TEMPLATE, scale, angle, shift)
    wanted = warp_by_loops(image, fit_similarity(landmarks[None])[0], places)
    assert np.abs(align_face(image, landmarks) - wanted).max() <= 0.5 + 1e-3


def test_an_aligned_face_stays_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    np.testing.assert_array_equal(align_face(image, TEMPLATE), image)


def test_a_large_picture_is_averaged_not_skipped():
    """Noise of deviation 60 in a picture four times too fine: 16 pixels make one."""
    generator = np.random.default_rng(0)
    image = np.clip(generator.normal(128, 60, (600, 600, 3)), 0, 255).astype(np.uint8)
    face = align_face(image, moved(TEMPLATE, 4.0, 0.0, (50, 50)))
    assert face.std() < 60 / 4 * 1.2


@pytest.mark.parametrize(("scale", "most"), [(1.5, 0.4), (1.95, 0.4), (2.9, 0.4), (3.6, 0.4)])
def test_waves_too_fine_for_the_face_do_not_come_back_as_coarse_ones(scale, most):
    """Waves of 1.6 pixels of the face; bilinear samples alone keep 0.6 of them at 1.95."""
    x, y = np.meshgrid(np.arange(600.0), np.arange(600.0))
    landmarks = moved(TEMPLATE, scale, 0.2, (100, 40))
    across = x * math.cos(0.2) + y * math.sin(0.2)
    kept = []
    for phase in np.linspace(0, math.pi, 5):
        wave = 128 + 100 * np.sin(2 * math.pi * across / (1.6 * scale) + phase)
        image = np.repeat(np.rint(wave).astype(np.uint8)[:, :, None], 3, axis=2)
        kept.append(align_face(image, landmarks)[30:90, 35:80].std() * math.sqrt(2) / 100)
    assert np.mean(kept) < most


@pytest.mark.parametrize("scale", [2.0, 3.0, 4.7])
def test_averaging_moves_nothing(scale):
    """A smooth ramp comes out at the same places whatever the size of the blocks."""
    x, y = np.meshgrid(np.arange(700.0), np.arange(700.0))
    image = np.stack([x, y, x], axis=2) / 3
    landmarks = moved(TEMPLATE, scale, 0.2, (150, 30))
    face = align_face(np.rint(image).astype(np.uint8), landmarks).astype(float)
    wanted = warp_by_loops(image, fit_similarity(landmarks[None])[0])
    assert np.abs(face - wanted)[wanted.min(axis=2) > 0].max() <= 1.0


def test_the_surroundings_of_the_picture_are_black():
    image = np.full((112, 112, 3), 200, np.uint8)
    face = align_face(image, TEMPLATE + 50)
    assert (face[:60, :60] == 200).all()
    assert (face[63:] == 0).all()


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        (np.full((5, 2), np.nan), "five finite points"),
        (np.full((5, 2), 7.0), "do not coincide"),
        (np.zeros((4, 2)), r"shape \(N, 5, 2\)"),
        (TEMPLATE + 1e6, "outside the picture of 120 x 100 pixels"),
    ],
)
def test_unusable_landmarks_are_refused(landmarks, message):
    with pytest.raises(DataError, match=message):
        align_face(np.zeros((100, 120, 3), np.uint8), landmarks)
