import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketface.embedding.resize import resize_faces
from pocketface.errors import DataError


def triangle_filter(image, size):
    """Antialiased bilinear resizing in float64, a plain loop over the output pixels."""
    height = image.shape[0]
    scale = height / size
    support = max(scale, 1.0)
    rows = np.zeros((size, height))
    for out in range(size):
        centre = (out + 0.5) * scale
        for source in range(height):
            rows[out, source] = max(0.0, 1 - abs(source + 0.5 - centre) / support)
        rows[out] /= rows[out].sum()
    return np.einsum("ih,jw,hwc->ijc", rows, rows, image.astype(np.float64))


@pytest.mark.parametrize(("source", "size"), [(112, 64), (112, 96), (112, 56), (64, 112), (50, 49)])
def test_agrees_with_the_plain_filter_within_rounding(source, size):
    images = np.random.default_rng(1).integers(0, 256, (2, source, source, 3), dtype=np.uint8)
    resized = resize_faces(images, size)
    assert resized.shape == (2, size, size, 3)
    assert resized.dtype == np.uint8
    for image, found in zip(images, resized, strict=True):
        assert np.abs(found - triangle_filter(image, size)).max() < 1.01


def test_faces_of_the_right_size_are_not_copied():
    images = np.zeros((2, 64, 64, 3), np.uint8)
    assert resize_faces(images, 64) is images


def test_mirrored_views_are_resized_like_mirrored_copies():
    images = np.random.default_rng(2).integers(0, 256, (1, 112, 112, 3), dtype=np.uint8)
    view = images[:, :, ::-1]
    np.testing.assert_array_equal(resize_faces(view, 64), resize_faces(view.copy(), 64))


@given(value=st.integers(0, 255), source=st.integers(1, 130), size=st.integers(16, 120))
def test_a_flat_colour_stays(value, source, size):
    images = np.full((1, source, source, 3), value, np.uint8)
    assert (resize_faces(images, size) == value).all()


def test_no_faces_give_no_faces():
    assert resize_faces(np.zeros((0, 112, 112, 3), np.uint8), 64).shape == (0, 64, 64, 3)


def test_faces_that_are_not_square_are_refused():
    with pytest.raises(DataError, match="92 x 112"):
        resize_faces(np.zeros((1, 112, 92, 3), np.uint8), 64)
