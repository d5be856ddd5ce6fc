"""Figures of a face against plain geometry, against people whose pose is known, and in words."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from pocketface.data.alignment import TEMPLATE
from pocketface.detect.quality import (
    HEAD,
    LEVELS,
    Limits,
    Quality,
    head_turn,
    measure,
    parse_limits,
    reasons,
    sharpness,
)
from pocketface.errors import RecipeError

GOOD = Quality(eyes=60, turn=5, roll=0, sharpness=0.15, brightness=120, score=0.95)


def seen(turn, roll, scale, shift):
    """The head turned to the picture's right, then leant, without perspective."""
    a, b = math.radians(turn), math.radians(roll)
    points = []
    for x, y, z in HEAD:
        across = x * math.cos(a) + z * math.sin(a)
        points.append(
            [across * math.cos(b) - y * math.sin(b), across * math.sin(b) + y * math.cos(b)]
        )
    return scale * np.array(points) + shift


def textured(seed=0):
    """Half coarse pattern, half fine detail."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(60, 190, (7, 7, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((112, 112), Image.Resampling.BICUBIC))
    noisy = smooth + generator.normal(0, 12, smooth.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


@settings(max_examples=80, deadline=None)
@given(st.floats(-80, 80), st.floats(-170, 170), st.floats(0.1, 9), st.floats(-999, 999))
def test_the_turn_of_the_model_itself_is_exact(turn, roll, scale, shift):
    assert head_turn(seen(turn, roll, scale, shift)) == pytest.approx(turn, abs=1e-4)


def test_the_mirror_is_turned_the_other_way():
    generator = np.random.default_rng(0)
    for _ in range(20):
        points = seen(generator.uniform(-60, 60), 0, 1.0, 0) + generator.normal(0, 3, (5, 2))
        mirrored = points[[1, 0, 2, 4, 3]] * (-1, 1)
        assert head_turn(mirrored) == pytest.approx(-head_turn(points), abs=1e-6)
    assert abs(head_turn(TEMPLATE)) < 2


def test_the_error_on_synthetic_people():
    torch = pytest.importorskip("torch")
    from pocketface.synthetic import NuisanceRanges, Population, Spread
    from pocketface.synthetic.pose import bend, place

    population = Population(5)
    ranges = NuisanceRanges(yaw=Spread(0, 30, -75, 75))
    people = [population.person(i) for i in range(60)]
    moments = [population.nuisance(i, 0, ranges) for i in range(60)]
    shape = bend(people, moments, torch.device("cpu"))
    landmarks = place(shape, moments, 320, aligned=False).landmarks.permute(0, 2, 1).numpy()
    errors = [
        head_turn(points) - moment.yaw for points, moment in zip(landmarks, moments, strict=True)
    ]
    assert np.std([moment.yaw for moment in moments]) > 20
    assert np.mean(np.abs(errors)) < 5.5
    assert abs(np.mean(errors)) < 2


def test_size_and_roll_are_plain_geometry():
    points = seen(0, 12, 2.0, 300)
    found = measure(points, textured(), 0.9)
    assert found.eyes == pytest.approx(126)
    assert found.roll == pytest.approx(12)
    assert found.score == 0.9


def test_brightness_is_the_mean_luma_of_the_face():
    image = np.zeros((112, 112, 3), np.uint8)
    image[30:102, 28:84] = (10, 200, 30)
    found = measure(TEMPLATE, image, 0.9)
    assert found.brightness == pytest.approx(0.299 * 10 + 0.587 * 200 + 0.114 * 30)
    assert found.sharpness == 0


def test_sharpness_falls_with_blur_and_not_with_contrast():
    image = Image.fromarray(textured())
    blurred = [
        sharpness(np.asarray(image.filter(ImageFilter.GaussianBlur(radius))))
        for radius in (0, 0.7, 1.4, 2.8)
    ]
    assert all(before > 1.15 * after for before, after in itertools.pairwise(blurred))
    coarse = np.asarray(image.resize((28, 28), Image.Resampling.BOX).resize((112, 112)))
    assert sharpness(coarse) < blurred[0] / 2
    faint = (np.asarray(image) // 2 + 60).astype(np.uint8)
    assert sharpness(faint) == pytest.approx(blurred[0], rel=0.05)


@pytest.mark.parametrize(
    ("changes", "limits", "words"),
    [
        ({"turn": 52.3}, {"turn": 45}, ["turned 52 degrees: limit 45"]),
        ({"turn": -52.3}, {"turn": 45}, ["turned 52 degrees: limit 45"]),
        ({"turn": 45.2}, {"turn": 45}, ["turned 45.2 degrees: limit 45.0"]),
        ({"eyes": 14.4}, {"eyes": 20}, ["small: eyes 14 pixels apart: limit 20"]),
        ({"sharpness": 0.031}, {"sharpness": 0.04}, ["blurred: sharpness 0.03: limit 0.04"]),
        ({"brightness": 18}, {"brightness": 40}, ["dark: brightness 18 of 255: limit 40"]),
        ({"brightness": 250}, {"brightest": 235}, ["bright: brightness 250 of 255: limit 235"]),
        ({"score": 0.61}, {"score": 0.7}, ["doubtful: score 0.6: limit 0.7"]),
        ({}, {"turn": 5, "eyes": 60, "sharpness": 0.15, "brightest": 120, "score": 0.95}, []),
    ],
)
def test_reasons_in_words(changes, limits, words):
    quality = Quality(**(GOOD.__dict__ | changes))
    assert reasons(quality, Limits(**limits)) == words


def test_every_broken_limit_is_named():
    bad = Quality(eyes=5, turn=80, roll=0, sharpness=0, brightness=3, score=0.1)
    assert len(reasons(bad, LEVELS["strict"])) == 5
    assert reasons(bad, LEVELS["off"]) == []
    assert reasons(GOOD, LEVELS["strict"]) == []


def test_limits_are_read_from_words():
    assert parse_limits("off") == Limits()
    assert parse_limits("turn=45, eyes=30") == Limits(turn=45, eyes=30)
    assert parse_limits("normal,turn=10").turn == 10
    assert parse_limits("turn=10,normal") == LEVELS["normal"]
    for wrong in ("", "best", "turn", "turn=", "turn=x", "turn=-1", "turn=nan", "roll=3", "off=1"):
        with pytest.raises(RecipeError, match=r"--min-quality"):
            parse_limits(wrong)
