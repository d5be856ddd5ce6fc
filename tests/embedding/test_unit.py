import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketface.embedding.flip import embed_faces, flip_sum
from pocketface.embedding.unit import (
    quick_products,
    similarity_of,
    squared_distances,
    unit,
)
from pocketface.errors import WeightsError


class MeanEmbedder:
    """Left half's and right half's mean brightness: knows its mirror image apart."""

    embedding_size = 2

    def embed(self, images):
        half = images.shape[2] // 2
        left = images[:, :, :half].mean(axis=(1, 2, 3))
        right = images[:, :, half:].mean(axis=(1, 2, 3))
        return np.stack([left, right], axis=1).astype(np.float32)


def test_flip_sum_is_the_sum_over_image_and_mirror():
    images = np.zeros((1, 4, 4, 3), np.uint8)
    images[:, :, :2] = 200
    np.testing.assert_array_equal(MeanEmbedder().embed(images), [[200, 0]])
    np.testing.assert_array_equal(flip_sum(MeanEmbedder(), images), [[200, 200]])


def test_faces_of_several_sizes_keep_their_order():
    generator = np.random.default_rng(0)
    faces = [
        generator.integers(0, 256, (size, size, 3), dtype=np.uint8) for size in (4, 8, 4, 6, 8)
    ]
    found = embed_faces(MeanEmbedder(), faces, flip=False)
    for row, face in zip(found, faces, strict=True):
        np.testing.assert_array_equal(row, MeanEmbedder().embed(face[None])[0])
    flipped = embed_faces(MeanEmbedder(), faces, flip=True)
    np.testing.assert_allclose(flipped, found + found[:, ::-1], rtol=1e-6)


def test_no_faces_give_no_embeddings():
    assert embed_faces(MeanEmbedder(), [], flip=True).shape == (0, 2)


@given(st.integers(0, 1000), st.integers(-60, 60))
def test_directions_have_length_one_and_no_scale(seed, power):
    embeddings = np.random.default_rng(seed).standard_normal((5, 7))
    directions = unit(embeddings)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(unit(embeddings * 2.0**power), directions)


def test_numbers_near_the_ends_of_the_range_have_a_direction():
    huge = unit(np.array([[3e300, 4e300], [3e-300, 4e-300]]))
    np.testing.assert_allclose(huge, [[0.6, 0.8], [0.6, 0.8]])


def test_distance_and_similarity_agree_with_plain_loops():
    generator = np.random.default_rng(5)
    left, right = unit(generator.standard_normal((9, 6))), unit(generator.standard_normal((9, 6)))
    distances = squared_distances(left, right)
    for row in range(9):
        wanted = sum((left[row, k] - right[row, k]) ** 2 for k in range(6))
        cosine = sum(left[row, k] * right[row, k] for k in range(6))
        assert distances[row] == pytest.approx(wanted, rel=1e-12)
        assert similarity_of(distances)[row] == pytest.approx(cosine, abs=1e-12)
    assert similarity_of(squared_distances(left, -left)).min() >= -1


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_embeddings_without_direction_are_refused_by_name(bad):
    embeddings = np.ones((3, 2), np.float32)
    embeddings[1] = bad
    with pytest.raises(WeightsError, match=r"1 of 3 embeddings .* first that of bob\.jpg"):
        unit(embeddings, ["ann.jpg", "bob.jpg", "cid.jpg"])


def test_a_single_vector_is_refused():
    with pytest.raises(WeightsError, match=r"\(N, D\)"):
        unit(np.ones(3))


def test_quick_products_are_the_matrix_product_and_never_warn_of_the_flags(monkeypatch) -> None:
    """A BLAS may leave 'invalid' set though all is finite; the state around it stays as it was."""
    rng = np.random.default_rng(0)
    left = rng.normal(size=(3, 5)).astype(np.float32)
    right = rng.normal(size=(5, 4)).astype(np.float32)
    out = np.empty((3, 4), np.float32)
    assert quick_products(left, right, out) is out
    np.testing.assert_allclose(out, [[sum(a * b) for b in right.T] for a in left], rtol=1e-5)
    seen = []
    monkeypatch.setattr(np, "matmul", lambda *_, out: seen.append(np.geterr()["invalid"]) or left)
    before = np.geterr()
    quick_products(left, right)
    assert seen == ["ignore"]
    assert np.geterr() == before
