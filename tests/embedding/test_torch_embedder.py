import numpy as np
import pytest

from pocketface.errors import RecipeError, WeightsError
from pocketface.preprocessing import Preprocessing

torch = pytest.importorskip("torch")

from pocketface.embedding.torch_embedder import TorchEmbedder, set_threads  # noqa: E402
from pocketface.models import create_model  # noqa: E402

SMALL = Preprocessing(image_size=32)


@pytest.fixture(scope="module")
def backbone():
    return create_model("pocketnet_s_128", image_size=32, generator=torch.Generator())


def faces(count, size=32):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_a_network_in_training_is_left_in_training_and_unchanged(backbone):
    backbone.train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    TorchEmbedder(backbone, SMALL).embed(faces(3))
    assert backbone.training
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_chunk_does_not_matter(backbone):
    images = faces(5, size=40)
    whole = TorchEmbedder(backbone, SMALL).embed(images)
    parts = TorchEmbedder(backbone, SMALL, chunk=2).embed(images)
    assert whole.shape == (5, 128)
    np.testing.assert_allclose(whole, parts, rtol=1e-4, atol=1e-6)


def test_nan_weights_are_refused_and_the_mode_is_kept():
    broken = create_model("pocketnet_s_128", image_size=32, generator=torch.Generator())
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    with pytest.raises(WeightsError, match="not finite"):
        TorchEmbedder(broken, SMALL).embed(faces(1))
    assert broken.training


def test_the_fingerprint_follows_the_weights(backbone):
    embedder = TorchEmbedder(backbone, SMALL)
    before = embedder.fingerprint
    assert embedder.fingerprint == before
    parameter = next(backbone.parameters())
    with torch.no_grad():
        parameter += 1
    changed = embedder.fingerprint
    with torch.no_grad():
        parameter -= 1
    assert changed != before


def test_another_image_size_is_refused(backbone):
    with pytest.raises(WeightsError, match=r"built for images of 32 pixels.*says 112"):
        TorchEmbedder(backbone, Preprocessing())


def test_threads_must_be_positive():
    with pytest.raises(RecipeError, match="at least 1, got 0"):
        set_threads(0)
