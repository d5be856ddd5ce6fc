"""What happens to pixels, against loops, and plans that do not depend on who draws them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.train.augment import AugmentConfig, AugmentPlan, augment, draw_plan

SIDE = 12
ALL = AugmentConfig(
    mirror=True,
    shift=3,
    brightness=0.4,
    contrast=0.3,
    erase=0.7,
    crop=0.4,
    colour=0.2,
    saturation=0.5,
    grey=0.3,
    blur=1.5,
    low_resolution=0.7,
)


def pixels(count: int = 5) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8))


def plan(count: int = 5, **changes: object) -> AugmentPlan:
    """A plan that does nothing, but for `changes`."""
    parts: dict[str, object] = {
        "mirrored": np.zeros(count, bool),
        "offsets": np.zeros((count, 2), np.int64),
        "brightness": np.ones(count, np.float32),
        "contrast": np.ones(count, np.float32),
        "erased": np.zeros((count, 3), np.float32),
        "crops": np.tile(np.float32([1, 0.3, 0.7]), (count, 1)),
        "gains": np.ones((count, 3), np.float32),
        "saturation": np.ones(count, np.float32),
        "blur": np.zeros(count, np.float32),
        "resolution": np.ones(count, np.float32),
    }
    return AugmentPlan(**(parts | changes))


def test_a_plan_that_does_nothing_changes_nothing():
    assert torch.equal(augment(pixels(), plan(), ALL), pixels())


def test_mirror_is_exact():
    mirrored = np.array([True, False, True, True, False])
    got = augment(pixels(), plan(mirrored=mirrored), AugmentConfig())
    assert got.dtype == torch.uint8
    for image, before, flip in zip(got.numpy(), pixels().numpy(), mirrored, strict=True):
        assert np.array_equal(image, before[:, ::-1] if flip else before)


def test_shift_equals_a_loop_with_reflected_border():
    offsets = np.array([[0, 0], [3, -3], [-3, 2], [1, 0], [-1, -2]])
    got = augment(pixels(), plan(offsets=offsets), AugmentConfig(shift=3)).numpy()

    def reflected(i: int) -> int:
        return -i if i < 0 else 2 * (SIDE - 1) - i if i >= SIDE else i

    for number, (down, across) in enumerate(offsets):
        for y in range(SIDE):
            for x in range(SIDE):
                source = pixels()[number, reflected(y + down), reflected(x + across)]
                assert np.array_equal(got[number, y, x], source.numpy())


def test_relight_equals_a_loop():
    rng = np.random.default_rng(1)
    brightness = rng.uniform(0.6, 1.4, 5).astype(np.float32)
    contrast = rng.uniform(0.7, 1.3, 5).astype(np.float32)
    config = AugmentConfig(brightness=0.4, contrast=0.3)
    got = augment(pixels(), plan(brightness=brightness, contrast=contrast), config).numpy()
    clipped = 0
    for number, before in enumerate(pixels().numpy().astype(np.float64)):
        mean = before.mean()
        for y in range(SIDE):
            for x in range(SIDE):
                for c in range(3):
                    value = (before[y, x, c] - mean) * contrast[number] + mean
                    value *= brightness[number]
                    clipped += value > 255
                    assert abs(got[number, y, x, c] - min(255.0, max(0.0, value))) <= 0.51
    assert clipped


def test_erase_greys_a_square_of_the_planned_place_and_side():
    erased = np.array([[0, 0, 0], [0.5, 0, 0], [0.5, 1, 1], [0.25, 0.5, 0], [0, 1, 1]], np.float32)
    got = augment(pixels(), plan(erased=erased), AugmentConfig(erase=1.0)).numpy()
    boxes = [None, (0, 6, 0, 6), (6, 12, 6, 12), (5, 8, 0, 3), None]
    for image, before, box in zip(got, pixels().numpy(), boxes, strict=True):
        expected = before.copy()
        if box is not None:
            top, bottom, left, right = box
            expected[top:bottom, left:right] = 127
        assert np.array_equal(image, expected)


def near(got: torch.Tensor, expected: np.ndarray) -> None:
    """Equal but for the rounding to bytes."""
    assert got.dtype == torch.uint8
    assert np.abs(got.numpy() - np.clip(expected, 0, 255)).max() <= 0.51


def read(image: np.ndarray, y: float, x: float) -> np.ndarray:
    """The colour between pixels, the border repeated."""
    last = len(image) - 1
    y, x = (min(max(place, 0.0), last) for place in (y, x))
    top, left = int(y), int(x)
    bottom, right = min(top + 1, last), min(left + 1, last)
    above = image[top, left] * (1 - (x - left)) + image[top, right] * (x - left)
    below = image[bottom, left] * (1 - (x - left)) + image[bottom, right] * (x - left)
    return above * (1 - (y - top)) + below * (y - top)


def test_crop_equals_a_loop_that_reads_between_pixels():
    crops = np.array([[1, 0, 0], [0.5, 0, 0], [0.5, 1, 1], [0.8, 0.5, 0.1], [0.61, 0.9, 0.2]])
    got = augment(pixels(), plan(crops=crops.astype(np.float32)), AugmentConfig(crop=0.5))
    for number, (side, top, left) in enumerate(crops):
        before = pixels()[number].numpy().astype(np.float64)
        expected = np.zeros_like(before)
        for i in range(SIDE):
            for j in range(SIDE):
                y = top * (1 - side) * SIDE + (i + 0.5) * side - 0.5
                x = left * (1 - side) * SIDE + (j + 0.5) * side - 0.5
                expected[i, j] = read(before, y, x)
        near(got[number], expected)


def test_blur_equals_a_loop_over_neighbours():
    deviations = np.array([0, 0.5, 1, 2.5, 9])
    got = augment(pixels(), plan(blur=deviations.astype(np.float32)), AugmentConfig(blur=9))
    for number, deviation in enumerate(deviations):
        before = pixels()[number].numpy().astype(np.float64)
        expected = before.copy() if deviation == 0 else np.zeros_like(before)
        for i in range(SIDE if deviation else 0):
            for j in range(SIDE):
                weight = 0.0
                for y in range(SIDE):
                    for x in range(SIDE):
                        w = np.exp(-((y - i) ** 2 + (x - j) ** 2) / (2 * deviation**2))
                        expected[i, j] += w * before[y, x]
                        weight += w
                expected[i, j] /= weight
        near(got[number], expected)


def test_low_resolution_equals_means_over_areas_read_between_pixels():
    shares = np.array([1, 0.5, 0.42, 0.75, 0.01])
    plans = plan(resolution=shares.astype(np.float32))
    got = augment(pixels(), plans, AugmentConfig(low_resolution=0.99))
    for number, share in enumerate(shares):
        count = max(1, round(share * SIDE))
        # Every pixel cut into count x count parts, of which SIDE x SIDE make one of the small.
        parts = pixels()[number].numpy().repeat(count, 0).repeat(count, 1)
        small = parts.reshape(count, SIDE, count, SIDE, 3).mean((1, 3))
        expected = np.zeros((SIDE, SIDE, 3))
        for i in range(SIDE):
            for j in range(SIDE):
                y, x = ((place + 0.5) * count / SIDE - 0.5 for place in (i, j))
                expected[i, j] = read(small, y, x)
        near(got[number], expected)


def test_tint_equals_a_loop():
    rng = np.random.default_rng(2)
    gains = rng.uniform(0.7, 1.3, (5, 3))
    saturation = np.array([1, 0, 0.3, 1.7, 1])
    plans = plan(gains=gains.astype(np.float32), saturation=saturation.astype(np.float32))
    got = augment(pixels(), plans, AugmentConfig(colour=0.3, saturation=0.9))
    for number in range(5):
        expected = pixels()[number].numpy() * gains[number]
        for i in range(SIDE):
            for j in range(SIDE):
                red, green, blue = expected[i, j]
                grey = 0.299 * red + 0.587 * green + 0.114 * blue
                expected[i, j] = grey + saturation[number] * (expected[i, j] - grey)
        near(got[number], expected)
    assert (got[1] == got[1][..., :1]).all()


def test_several_resamplings_are_one_after_the_other():
    """Up to the rounding to bytes between them."""
    crops = np.float32([[0.7, 0.2, 0.9]] * 5)
    blur, resolution = np.full(5, 0.8, np.float32), np.full(5, 0.6, np.float32)
    at_once = augment(
        pixels(),
        plan(crops=crops, blur=blur, resolution=resolution),
        AugmentConfig(crop=0.5, blur=2, low_resolution=0.5),
    )
    images = augment(pixels(), plan(crops=crops), AugmentConfig(crop=0.5))
    images = augment(images, plan(blur=blur), AugmentConfig(blur=2))
    images = augment(images, plan(resolution=resolution), AugmentConfig(low_resolution=0.5))
    assert (at_once.int() - images.int()).abs().max() <= 1
    assert (at_once != pixels()).float().mean() > 0.9


@settings(max_examples=30)
@given(
    level=st.integers(0, 255),
    seed=st.integers(0, 10_000),
    height=st.integers(2, 20),
    width=st.integers(2, 20),
)
def test_resampling_leaves_an_even_image_as_it_is(level, seed, height, width):
    images = torch.full((4, height, width, 3), level, dtype=torch.uint8)
    config = AugmentConfig(crop=0.9, blur=5, low_resolution=0.9)
    drawn = draw_plan(config, np.random.default_rng(seed), 4)
    assert torch.equal(augment(images, drawn, config), images)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_resampling_stays_within_the_images_range(seed):
    config = AugmentConfig(crop=0.9, blur=5, low_resolution=0.9)
    got = augment(pixels(), draw_plan(config, np.random.default_rng(seed), 5), config)
    for image, before in zip(got, pixels(), strict=True):
        for channel in range(3):
            assert before[..., channel].min() <= image[..., channel].min()
            assert image[..., channel].max() <= before[..., channel].max()


def test_an_augmentation_of_strength_zero_is_none():
    """Whatever else is on, whatever is drawn."""
    drawn = draw_plan(AugmentConfig(mirror=False), np.random.default_rng(0), 5)
    assert torch.equal(augment(pixels(), drawn, ALL), pixels())


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 11))
def test_a_plan_does_not_depend_on_the_share(seed, cut):
    whole = draw_plan(ALL, np.random.default_rng(seed), 12)
    rows = [slice(0, cut), slice(cut, 12)]
    images = pixels(12)
    parts = [augment(images[row], whole.part(row), ALL) for row in rows]
    assert torch.equal(torch.cat(parts), augment(images, whole, ALL))


def test_runs_of_before_find_their_numbers_again():
    """Mirror, shift, light and squares come from the first nine rows of the stream, as ever."""
    first = np.random.default_rng(5).random((9, 7), np.float32)
    drawn = draw_plan(ALL, np.random.default_rng(5), 7)
    assert np.array_equal(drawn.mirrored, first[0] < 0.5)
    assert np.array_equal(drawn.offsets, np.floor(first[1:3].T * 7) - 3)
    assert drawn.brightness == pytest.approx(0.6 + 0.8 * first[3], abs=1e-6)
    assert drawn.contrast == pytest.approx(0.7 + 0.6 * first[4], abs=1e-6)
    sides = np.where(first[5] < np.float32(0.7), 0.1 + 0.4 * first[6], 0)
    assert drawn.erased == pytest.approx(np.stack([sides, first[7], first[8]], 1), abs=1e-6)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    shift=st.integers(0, 5),
    brightness=st.sampled_from([0.0, 0.3]),
    erase=st.sampled_from([0.0, 0.5]),
    mirror=st.booleans(),
)
def test_one_augmentation_leaves_the_numbers_of_the_others(seed, shift, brightness, erase, mirror):
    config = AugmentConfig(
        mirror=mirror, shift=shift, brightness=brightness, contrast=0.3, erase=erase
    )
    ours = draw_plan(config, np.random.default_rng(seed), 9)
    full = draw_plan(ALL, np.random.default_rng(seed), 9)
    assert np.array_equal(ours.contrast, full.contrast)
    assert np.array_equal(ours.mirrored, full.mirrored & mirror)
    assert ours.brightness == pytest.approx(1 + (full.brightness - 1) * brightness / 0.4, abs=1e-6)
    struck = ours.erased[:, 0] > 0
    assert np.array_equal(ours.erased[struck], full.erased[struck])


@pytest.mark.parametrize("name", ["crop", "colour", "saturation", "grey", "blur", "low_resolution"])
def test_one_augmentation_alone_draws_as_among_all(name):
    part = {
        "crop": "crops",
        "colour": "gains",
        "low_resolution": "resolution",
        "grey": "saturation",
    }
    part = part.get(name, name)
    config = AugmentConfig(**{name: getattr(ALL, name)})
    alone = getattr(draw_plan(config, np.random.default_rng(3), 40), part)
    among = getattr(draw_plan(ALL, np.random.default_rng(3), 40), part)
    if part == "saturation":
        assert 0 < (among == 0).sum() < 40
        some = (among == 0) == (name == "grey")
        alone, among = alone[some], among[some]
    assert np.array_equal(alone, among)


def test_draws_have_the_ranges_that_the_recipe_says():
    drawn = draw_plan(ALL, np.random.default_rng(0), 20_000)
    assert drawn.mirrored.mean() == pytest.approx(0.5, abs=0.02)
    values, counts = np.unique(drawn.offsets, return_counts=True)
    assert values.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    assert counts / counts.sum() == pytest.approx(np.full(7, 1 / 7), abs=0.01)
    for numbers, reach in ((drawn.brightness, 0.4), (drawn.contrast, 0.3)):
        assert numbers.min() == pytest.approx(1 - reach, abs=1e-3)
        assert numbers.max() == pytest.approx(1 + reach, abs=1e-3)
    sides = drawn.erased[:, 0]
    assert (sides > 0).mean() == pytest.approx(0.7, abs=0.02)
    assert sides[sides > 0].min() == pytest.approx(0.1, abs=1e-3)
    assert sides.max() == pytest.approx(0.5, abs=1e-3)
    assert (drawn.saturation == 0).mean() == pytest.approx(0.3, abs=0.02)
    for numbers, least, most in (
        (drawn.crops[:, 0], 0.6, 1),
        (drawn.crops[:, 1], 0, 1),
        (drawn.crops[:, 2], 0, 1),
        *((gain, 0.8, 1.2) for gain in drawn.gains.T),
        (drawn.saturation[drawn.saturation > 0], 0.5, 1.5),
        (drawn.blur, 0, 1.5),
        (drawn.resolution, 0.3, 1),
    ):
        assert numbers.min() == pytest.approx(least, abs=1e-3)
        assert numbers.max() == pytest.approx(most, abs=1e-3)
        assert numbers.mean() == pytest.approx((least + most) / 2, abs=0.02)


def test_the_papers_augmentation_is_the_mirror_alone():
    drawn = draw_plan(AugmentConfig(), np.random.default_rng(0), 100)
    assert drawn.mirrored.any()
    assert not drawn.offsets.any()
    assert (drawn.brightness == 1).all()
    assert (drawn.contrast == 1).all()
    assert not drawn.erased[:, 0].any()
    assert (drawn.crops[:, 0] == 1).all()
    assert (drawn.gains == 1).all()
    assert (drawn.saturation == 1).all()
    assert not drawn.blur.any()
    assert (drawn.resolution == 1).all()
