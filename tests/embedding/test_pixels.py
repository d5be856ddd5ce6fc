"""Raw pixels as an embedding."""

import numpy as np
import pytest

from pocketface.embedding.pixels import SIDE, PixelEmbedder
from pocketface.errors import DataError


def faces(count: int = 3, side: int = 112) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_only_the_middle_counts() -> None:
    images = faces()
    framed = images.copy()
    framed[:, :24] = 0
    framed[:, -24:] = 255
    framed[:, :, :24] = 255
    framed[:, :, -24:] = 0
    embedder = PixelEmbedder()
    assert np.array_equal(embedder.embed(images), embedder.embed(framed))
    framed[:, 24, 24] = 255 - framed[:, 24, 24]
    assert not np.array_equal(embedder.embed(images), embedder.embed(framed))


def test_each_image_is_standardised_and_light_does_not_count() -> None:
    dark = (faces() // 4).astype(np.uint8)
    rows = PixelEmbedder().embed(dark)
    assert rows.shape == (3, SIDE * SIDE)
    assert rows.dtype == np.float32
    assert np.allclose(rows.mean(axis=1), 0, atol=1e-5)
    assert np.allclose(rows.std(axis=1), 1, atol=1e-3)
    assert np.allclose(rows, PixelEmbedder().embed(dark + 40), atol=1e-5)


def test_any_square_size_but_nothing_else() -> None:
    assert PixelEmbedder().embed(faces(2, 64)).shape == (2, 1024)
    with pytest.raises(DataError, match="square"):
        PixelEmbedder().embed(faces()[:, :100])
