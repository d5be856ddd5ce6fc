"""What happens to pixels, against loops, and plans that do not depend on who draws them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.train.augment import AugmentConfig, AugmentPlan, augment, draw_plan

SIDE = 12
ALL = AugmentConfig(mirror=True, shift=3, brightness=0.4, contrast=0.3, erase=0.7)


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
    got = augment(pixels(), plan(brightness=brightness, contrast=contrast), ALL).numpy()
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


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 11))
def test_a_plan_does_not_depend_on_the_share(seed, cut):
    whole = draw_plan(ALL, np.random.default_rng(seed), 12)
    rows = [slice(0, cut), slice(cut, 12)]
    images = pixels(12)
    parts = [augment(images[row], whole.part(row), ALL) for row in rows]
    assert torch.equal(torch.cat(parts), augment(images, whole, ALL))


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


def test_the_papers_augmentation_is_the_mirror_alone():
    drawn = draw_plan(AugmentConfig(), np.random.default_rng(0), 100)
    assert drawn.mirrored.any()
    assert not drawn.offsets.any()
    assert (drawn.brightness == 1).all()
    assert (drawn.contrast == 1).all()
    assert not drawn.erased[:, 0].any()
