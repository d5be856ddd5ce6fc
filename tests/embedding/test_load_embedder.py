import subprocess
import sys

import numpy as np
import pytest

from pocketface.card import ModelCard, card_path, sha256_of, write_card
from pocketface.embedding import load_embedder
from pocketface.errors import WeightsError
from pocketface.preprocessing import Preprocessing

SMALL = Preprocessing(image_size=32)


def card_for(path, **changes):
    fields = {
        "architecture": "foreign",
        "embedding_size": 8,
        "preprocessing": SMALL,
        "sha256": sha256_of(path),
    }
    return ModelCard(**{**fields, **changes})


def test_a_card_describes_the_file(tmp_path, tiny_onnx):
    path = tiny_onnx(tmp_path / "m.onnx")
    write_card(path, card_for(path))
    embedder = load_embedder(path)
    assert embedder.card is not None
    assert embedder.preprocessing == SMALL
    assert embedder.embedding_size == 8


def test_options_beside_a_card_are_refused(tmp_path, tiny_onnx):
    path = tiny_onnx(tmp_path / "m.onnx")
    write_card(path, card_for(path))
    with pytest.raises(WeightsError, match=r"m\.onnx has a card, m\.json"):
        load_embedder(path, SMALL)


def test_a_card_of_another_embedding_size_is_refused(tmp_path, tiny_onnx):
    path = tiny_onnx(tmp_path / "m.onnx")
    write_card(path, card_for(path, embedding_size=128))
    with pytest.raises(WeightsError, match="embeddings of 8 numbers, but its card says 128"):
        load_embedder(path)


def test_a_foreign_file_needs_a_description(tmp_path, tiny_onnx):
    path = tiny_onnx(tmp_path / "m.onnx")
    with pytest.raises(WeightsError, match="--size, --order, --mean and --std"):
        load_embedder(path)
    assert load_embedder(path, SMALL).card is None


@pytest.mark.parametrize("name", ["missing.onnx", "folder.onnx", "weights.h5"])
def test_unusable_paths_are_refused_by_name(tmp_path, name):
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "weights.h5").write_bytes(b"?")
    with pytest.raises(WeightsError, match=name):
        load_embedder(tmp_path / name, SMALL)


def test_onnx_needs_no_torch(tmp_path, tiny_onnx):
    """A fresh interpreter embeds and measures without importing torch."""
    path = tiny_onnx(tmp_path / "m.onnx")
    write_card(path, card_for(path))
    code = (
        "import sys; from pathlib import Path; import numpy as np;"
        "from pocketface.embedding import load_embedder;"
        "import pocketface.benchmarks.pair_benchmark, pocketface.embedding.archive;"
        f"load_embedder(Path({str(path)!r})).embed(np.zeros((1, 32, 32, 3), np.uint8));"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_state_dict_needs_its_architecture(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "m.pt"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="--architecture"):
        load_embedder(path, SMALL)
    with pytest.raises(WeightsError, match="--size, --order"):
        load_embedder(path, architecture="pocketnet_s_128")


def test_torch_file_and_card_embed_as_the_backbone(tmp_path):
    torch = pytest.importorskip("torch")
    from pocketface.models import create_model
    from pocketface.models.normalise import normalise
    from pocketface.models.weights import save_weights

    preprocessing = Preprocessing(image_size=32, channel_order="bgr")
    backbone = create_model("pocketnet_s_128", image_size=32, generator=torch.Generator())
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    backbone.eval()
    with torch.inference_mode():
        wanted = backbone(normalise(torch.tensor(images), preprocessing)).numpy()

    ours = tmp_path / "ours.safetensors"
    save_weights(backbone, ours, preprocessing=preprocessing, data="none", licence="none")
    embedder = load_embedder(ours)
    np.testing.assert_allclose(embedder.embed(images), wanted, rtol=1e-4, atol=1e-5)
    assert embedder.embedding_size == 128

    plain = tmp_path / "plain.pt"
    torch.save(backbone.state_dict(), plain)
    foreign = load_embedder(plain, preprocessing, architecture="pocketnet_s_128")
    np.testing.assert_array_equal(foreign.embed(images), embedder.embed(images))
    assert foreign.card is None

    write_card(plain, card_for(plain, embedding_size=128, architecture="pocketnet_s_128"))
    assert card_path(plain).is_file()
    assert load_embedder(plain).preprocessing == SMALL
