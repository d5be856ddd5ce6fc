import numpy as np
import pytest

from pocketface.embedding import load_embedder
from pocketface.embedding.onnx_embedder import OnnxEmbedder
from pocketface.errors import DataError, RecipeError, WeightsError
from pocketface.preprocessing import Preprocessing

SMALL = Preprocessing(image_size=32)


def faces(count, size=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def by_hand(images, preprocessing, dimension=8):
    """The tiny network in float64 NumPy."""
    matrix = np.random.default_rng(7).standard_normal((48, dimension)).astype(np.float32)
    pixels = images.astype(np.float64) / 255
    if preprocessing.channel_order == "bgr":
        pixels = pixels[..., ::-1]
    pixels = (pixels - preprocessing.mean) / preprocessing.std
    coarse = pixels.reshape(len(images), 4, 8, 4, 8, 3).mean(axis=(2, 4))
    return coarse.transpose(0, 3, 1, 2).reshape(len(images), 48) @ matrix


@pytest.mark.parametrize("batch", [None, 1, 4])
@pytest.mark.parametrize("count", [0, 1, 4, 7, 70])
def test_embeddings_are_the_networks_whatever_the_batch(tmp_path, tiny_onnx, batch, count):
    embedder = OnnxEmbedder(tiny_onnx(tmp_path / "m.onnx", batch=batch), SMALL, threads=1)
    images = faces(count)
    found = embedder.embed(images)
    assert found.dtype == np.float32
    assert found.shape == (count, 8)
    np.testing.assert_allclose(found, by_hand(images, SMALL), rtol=1e-4, atol=1e-4)


def test_preprocessing_is_applied_per_channel_in_the_networks_order(tmp_path, tiny_onnx):
    odd = Preprocessing(
        image_size=32, channel_order="bgr", mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)
    )
    embedder = OnnxEmbedder(tiny_onnx(tmp_path / "m.onnx", name="any name"), odd)
    images = faces(3)
    np.testing.assert_allclose(embedder.embed(images), by_hand(images, odd), rtol=1e-4, atol=1e-4)


def test_other_sizes_are_resized(tmp_path, tiny_onnx):
    embedder = OnnxEmbedder(tiny_onnx(tmp_path / "m.onnx", free_sides=True), SMALL)
    large = np.repeat(np.repeat(faces(2), 2, axis=1), 2, axis=2)
    assert embedder.embed(large).shape == (2, 8)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 32, 32, 3), np.float32),
        np.zeros((32, 32, 3), np.uint8),
        np.zeros((2, 32, 32, 1), np.uint8),
        np.zeros((2, 32, 40, 3), np.uint8),
    ],
)
def test_wrong_images_are_refused(tmp_path, tiny_onnx, images):
    embedder = OnnxEmbedder(tiny_onnx(tmp_path / "m.onnx"), SMALL)
    with pytest.raises(DataError, match=r"faces must be|square"):
        embedder.embed(images)


def test_nan_is_refused_with_the_image(tmp_path, tiny_onnx):
    embedder = OnnxEmbedder(tiny_onnx(tmp_path / "m.onnx", kind="nan", bias=-1e3), SMALL)
    with pytest.raises(WeightsError, match=r"not finite .* for 2 of 2 images, first for image 0"):
        embedder.embed(faces(2))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"channels": 1}, "channels must come second"),
        ({"size": 64}, "preprocessing says 32 x 32 .*--size 64"),
        ({"kind": "map"}, "an embedding network gives"),
        ({"kind": "two inputs"}, "must have one input"),
    ],
)
def test_networks_of_another_kind_are_refused(tmp_path, tiny_onnx, made, message):
    with pytest.raises(WeightsError, match=message):
        OnnxEmbedder(tiny_onnx(tmp_path / "m.onnx", **made), SMALL)


def test_broken_files_are_refused_by_name(tmp_path, tiny_onnx):
    whole = tiny_onnx(tmp_path / "whole.onnx").read_bytes()
    for name, content in {"cut": whole[: len(whole) // 2], "text": b"hello", "empty": b""}.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=f"{name}.onnx"):
            load_embedder(path, SMALL)


def test_threads_must_be_positive(tmp_path, tiny_onnx):
    with pytest.raises(RecipeError, match="at least 1, got 0"):
        OnnxEmbedder(tiny_onnx(tmp_path / "m.onnx"), SMALL, threads=0)


def test_fingerprint_tells_weights_and_preprocessing_apart(tmp_path, tiny_onnx):
    path = tiny_onnx(tmp_path / "a.onnx")
    other = tiny_onnx(tmp_path / "b.onnx", bias=1.0)
    reversed_channels = Preprocessing(image_size=32, channel_order="bgr")
    prints = {
        OnnxEmbedder(path, SMALL).fingerprint,
        OnnxEmbedder(other, SMALL).fingerprint,
        OnnxEmbedder(path, reversed_channels).fingerprint,
    }
    assert len(prints) == 3
    assert OnnxEmbedder(path, SMALL).fingerprint in prints
