import numpy as np
import pytest

from pocketface.embedding.normalise import normalise_faces
from pocketface.preprocessing import Preprocessing

IMAGENET = Preprocessing(
    image_size=16, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), channel_order="rgb"
)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_is_the_formula_in_the_networks_channel_order(order):
    preprocessing = IMAGENET.model_copy(update={"channel_order": order})
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    found = normalise_faces(images, preprocessing)
    assert found.shape == (3, 3, 16, 16)
    assert found.dtype == np.float32
    for channel in range(3):
        source = channel if order == "rgb" else 2 - channel
        wanted = (images[..., source] / 255.0 - IMAGENET.mean[channel]) / IMAGENET.std[channel]
        np.testing.assert_allclose(found[:, channel], wanted, atol=1e-6)


def test_agrees_with_torch():
    torch = pytest.importorskip("torch")
    from pocketface.models.normalise import normalise

    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    for preprocessing in (IMAGENET, Preprocessing(image_size=16, channel_order="bgr")):
        np.testing.assert_allclose(
            normalise_faces(images, preprocessing),
            normalise(torch.tensor(images), preprocessing).numpy(),
            atol=1e-6,
        )
