import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketface.deploy.parity import (
    BATCHES,
    Parity,
    compare,
    draw_faces,
    draw_images,
    measure_parity,
)
from pocketface.errors import WeightsError
from pocketface.preprocessing import Preprocessing


def by_hand(wanted, found) -> tuple[float, float]:
    """Least cosine and largest relative difference, number by number."""
    cosines, relatives = [], []
    for a, b in zip(wanted.tolist(), found.tolist(), strict=True):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        lengths = math.sqrt(sum(x * x for x in a)), math.sqrt(sum(y * y for y in b))
        difference = math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))
        cosines.append(dot / lengths[0] / lengths[1])
        relatives.append(difference / lengths[0])
    return min(cosines), max(relatives)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.floats(1e-6, 1.0))
def test_the_figures_are_those_of_a_plain_loop(seed, rows, noise) -> None:
    generator = np.random.default_rng(seed)
    wanted = generator.normal(size=(rows, 7)).astype(np.float32)
    found = (wanted + noise * generator.normal(size=(rows, 7))).astype(np.float32)
    parity = compare(wanted, found)
    cosine, relative = by_hand(wanted, found)
    assert parity.faces == rows
    assert parity.cosine == pytest.approx(cosine, abs=1e-12)
    assert parity.relative == pytest.approx(relative, rel=1e-9)


def test_one_bad_row_is_not_averaged_away() -> None:
    wanted = np.ones((50, 4), np.float32)
    found = wanted.copy()
    found[17, 0] += 0.1
    assert not compare(wanted, found).holds
    assert compare(wanted, wanted) == Parity(50, 1.0, 0.0)


@pytest.mark.parametrize(
    ("cosine", "relative", "holds"),
    [
        (1.0, 0.0, True),
        (1 - 1e-6, 1e-4, True),
        (1 - 1.1e-6, 0.0, False),
        (1.0, 1.1e-4, False),
        (float("nan"), 0.0, False),
        (1.0, float("nan"), False),
    ],
)
def test_both_bounds_must_hold(cosine, relative, holds) -> None:
    assert Parity(1, cosine, relative).holds is holds


def test_a_length_that_differs_is_seen() -> None:
    wanted = np.ones((2, 4), np.float32)
    parity = compare(wanted, wanted * np.float32(1.001))
    assert parity.cosine == pytest.approx(1)
    assert not parity.holds


def test_embeddings_without_direction_are_refused() -> None:
    with pytest.raises(WeightsError, match="zero or not finite"):
        compare(np.zeros((2, 4), np.float32), np.ones((2, 4), np.float32))


class Means:
    """A network of channel means, which remembers its batches."""

    embedding_size, fingerprint, card = 3, "", None
    preprocessing = Preprocessing(image_size=32)

    def __init__(self, faulty_batch: int | None = None) -> None:
        self.batches: list[int] = []
        self.faulty_batch = faulty_batch

    def embed(self, images):
        self.batches.append(len(images))
        means = images.mean(axis=(1, 2)).astype(np.float32)
        return means[::-1] if len(images) == self.faulty_batch else means


def test_the_file_runs_alone_and_in_batches() -> None:
    exported = Means()
    assert measure_parity(Means(), exported, np.random.default_rng(0)).holds
    assert exported.batches == list(BATCHES)
    assert min(BATCHES) == 1
    assert sum(BATCHES) >= 24


@pytest.mark.parametrize("batch", [2, 5, 27])
def test_a_fault_in_one_size_of_batch_is_found(batch) -> None:
    assert not measure_parity(Means(), Means(batch), np.random.default_rng(0)).holds


def test_most_of_the_images_are_faces() -> None:
    faces = draw_faces(2, 64, np.random.default_rng(5))
    assert faces.dtype == np.uint8
    assert faces.shape == (2, 64, 64, 3)
    np.testing.assert_array_equal(faces, draw_faces(2, 64, np.random.default_rng(5)))
    assert not (faces == draw_faces(2, 64, np.random.default_rng(6))).all()
    # A face is lighter than its eyes, which lie where the template has them.
    eyes = faces[:, 29:31, [22, 42]].mean()
    assert faces[:, 36:42, 22:42].mean() > eyes


def test_images_are_drawn_from_the_generator_and_smooth() -> None:
    images = draw_images(8, 64, np.random.default_rng(5))
    assert images.dtype == np.uint8
    assert images.shape == (8, 64, 64, 3)
    np.testing.assert_array_equal(images, draw_images(8, 64, np.random.default_rng(5)))
    assert len({image.tobytes() for image in draw_images(24, 64, np.random.default_rng(6))}) == 24
    wide = images.astype(np.float64)
    steps = np.abs(np.diff(wide, axis=1)).mean(axis=(1, 2, 3))
    # White noise steps by a third of its range, 85, between neighbours.
    assert steps.max() < 30
    assert wide.std(axis=(1, 2, 3)).min() > 30
