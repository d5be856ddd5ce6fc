"""Alignment is warned about where it is wrong, in words that fit, and not where it is right."""

import re

import numpy as np
import pytest
from PIL import Image

from pocketface.benchmarks.alignment_check import crop_fit, landmark_fit, sample_of
from pocketface.benchmarks.mean_face import CENTRE, Placement, mean_face, place
from pocketface.data.alignment import TEMPLATE
from pocketface.synthetic import Population


def moved(images, scale=1.0, degrees=0.0, right=0.0, down=0.0):
    """The images with the face where a wrong crop would have it."""
    turn = np.deg2rad(degrees)
    forward = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    inverse, centre = np.linalg.inv(forward), np.array(CENTRE)
    offset = centre - inverse @ (centre + np.array([right, down]))
    rows = (*inverse[0], offset[0], *inverse[1], offset[1])
    return [
        np.asarray(
            Image.fromarray(image).transform(
                image.shape[1::-1], Image.Transform.AFFINE, rows, Image.Resampling.BILINEAR
            )
        )
        for image in images
    ]


@pytest.fixture(scope="module")
def people():
    """112 synthetic people, one picture each; not those that the stored average was made of."""
    pytest.importorskip("torch")
    from pocketface.synthetic.render import render

    population = Population(2024)
    numbers = range(112)
    return list(
        render(
            [population.person(number) for number in numbers],
            [population.nuisance(number, 0) for number in numbers],
        ).images
    )


WRONG = [
    ({"right": 8}, "8 pixels too far right"),
    ({"right": -8}, "8 pixels too far left"),
    ({"down": 8}, "8 pixels too low"),
    ({"down": -10}, "pixels too high"),
    ({"scale": 0.7}, "too small"),
    ({"scale": 1.3}, "% too large"),
    ({"degrees": 15}, "turned by 1[456] degrees"),
    ({"scale": 0.8, "degrees": -12, "right": 6}, "too small, turned by .* and . pixels too far r"),
    ({"degrees": 180}, "does not look like an aligned, upright face"),
]


def test_synthetic_people_are_aligned(people):
    assert crop_fit(people) is None
    assert crop_fit(moved(people, right=1.5, scale=1.03)) is None


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_wrong_crops_of_synthetic_people_are_described(people, change, words):
    assert re.search(words, crop_fit(moved(people, **change)) or "")


def test_the_place_is_found_to_a_pixel(people):
    wrong = {"scale": 1.15, "degrees": 7.0, "right": -5.0, "down": 4.0}
    found = place(mean_face(moved(people, **wrong)))
    assert found.scale == pytest.approx(1.15, abs=0.03)
    assert found.degrees == pytest.approx(7.0, abs=1.5)
    assert found.right == pytest.approx(-5.0, abs=1.0)
    assert found.down == pytest.approx(4.0, abs=1.0)
    assert found.likeness > 0.9


def test_the_size_of_the_crops_does_not_matter(people):
    large = [np.asarray(Image.fromarray(image).resize((224, 224))) for image in people]
    assert crop_fit(large) is None
    small = [np.asarray(Image.fromarray(image).resize((64, 64))) for image in people]
    assert crop_fit(small) is None


def test_what_is_no_face_is_said_so():
    noise = np.random.default_rng(0).integers(0, 256, (100, 112, 112, 3), dtype=np.uint8)
    assert "does not look like" in (crop_fit(list(noise)) or "")
    flat = np.full((100, 112, 112, 3), 128, np.uint8)
    assert "does not look like" in (crop_fit(list(flat)) or "")
    assert crop_fit(list(noise[:99])) is None


def test_a_placement_moves_points_as_a_crop_does():
    placed = Placement(scale=2.0, degrees=90.0, right=3.0, down=-1.0, likeness=1.0)
    points = np.array([CENTRE, (CENTRE[0] + 1, CENTRE[1])])
    expected = np.array([(58.5, 64.5), (58.5, 66.5)])
    np.testing.assert_allclose(placed.move(points), expected, atol=1e-12)


def test_the_sample_is_spread_over_the_set():
    assert sample_of(10).tolist() == list(range(10))
    chosen = sample_of(7701)
    assert len(chosen) == 300
    assert (chosen[0], chosen[-1]) == (0, 7700)
    assert np.diff(chosen).max() <= 26


def draw_landmarks(rng, count=200, noise=1.0):
    """The template, turned, scaled and shifted into photographs, each point a little off."""
    turn = np.exp(1j * rng.uniform(-0.4, 0.4, (count, 1))) * rng.uniform(0.5, 3, (count, 1))
    noisy = TEMPLATE + noise * rng.standard_normal((count, 5, 2))
    points = turn * (noisy[..., 0] + 1j * noisy[..., 1]) + rng.uniform(0, 200, (count, 1))
    return np.stack([points.real, points.imag], axis=2)


def test_landmarks_that_fit_are_not_warned_about():
    assert landmark_fit(draw_landmarks(np.random.default_rng(0))) is None
    assert landmark_fit(np.empty((0, 5, 2))) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda points: points[:, [1, 0, 2, 4, 3]], "would fit mirrored"),
        (lambda points: points[..., ::-1], "would fit mirrored"),
        (lambda points: points[:, [3, 4, 2, 0, 1]], "would fit mirrored"),
        (lambda points: points[:, [0, 1, 3, 4, 2]], "order: left eye, right eye, nose"),
    ],
)
def test_landmarks_of_another_order_are_told(change, words):
    wrong = change(draw_landmarks(np.random.default_rng(1)))
    warning = landmark_fit(wrong)
    assert warning is not None
    assert warning.startswith("Warning: ")
    assert "200 faces" in warning
    assert words in warning


@pytest.mark.slow
def test_real_faces(real_data):
    files = sorted((real_data / "lfw112").glob("*/*.jpg"))
    chosen = [files[i] for i in sample_of(len(files))]
    faces = [np.asarray(Image.open(path).convert("RGB")) for path in chosen]
    assert crop_fit(faces) is None
    for change, words in WRONG:
        warning = crop_fit(moved(faces, **change)) or ""
        if change not in ({"right": 8}, {"right": -8}, {"down": 8}):  # the words round otherwise
            assert re.search(words, warning), (change, warning)
        assert warning.startswith("Warning"), change
