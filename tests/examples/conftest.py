"""A network exported for the examples, two faces, and what Python says of them."""

import math
from pathlib import Path

import numpy as np
import pytest

from pocketface.card import Threshold, write_card
from pocketface.embedding import load_embedder
from pocketface.embedding.compare import compare_files


@pytest.fixture(scope="session")
def example_folder(tmp_path_factory) -> Path:
    """`model.onnx` with its card, and `a` and `b` as PNG, PPM and raw bytes."""
    torch = pytest.importorskip("torch")
    from PIL import Image

    from pocketface.deploy import ExportOptions, export_network
    from pocketface.deploy.parity import draw_faces
    from pocketface.models import create_model
    from pocketface.models.weights import save_weights
    from pocketface.preprocessing import Preprocessing

    folder = tmp_path_factory.mktemp("example")
    network = create_model("pocketnet_nano", generator=torch.Generator().manual_seed(0))
    preprocessing = Preprocessing(
        image_size=network.image_size, channel_order="bgr", mean=(0.4, 0.5, 0.6), std=(0.3,) * 3
    )
    weights = folder / "network.safetensors"
    card = save_weights(network, weights, preprocessing=preprocessing, data="noise", licence="CC0")
    threshold = Threshold(
        benchmark="pairs",
        far=1e-3,
        measured_far=1e-3,
        tar=0.9,
        similarity=0.25,
        impostor_pairs=3000,
        flip=True,
    )
    write_card(weights, card.model_copy(update={"thresholds": [threshold]}))
    export_network(
        weights,
        folder / "model.onnx",
        generator=np.random.default_rng(0),
        options=ExportOptions(input="uint8"),
    )
    faces = draw_faces(2, network.image_size, np.random.default_rng(1))
    for name, face in zip("ab", faces, strict=True):
        Image.fromarray(face).save(folder / f"{name}.png")
        Image.fromarray(face).save(folder / f"{name}.ppm")
        (folder / f"{name}.rgb").write_bytes(face.tobytes())
    return folder


@pytest.fixture(scope="session")
def similarity(example_folder) -> float:
    """As the source network has it, in torch."""
    embedder = load_embedder(example_folder / "network.safetensors")
    found = compare_files(embedder, example_folder / "a.png", example_folder / "b.png", flip=True)
    plain = compare_files(embedder, example_folder / "a.png", example_folder / "b.png", flip=False)
    assert not math.isclose(found, plain, abs_tol=1e-4)  # the mirror images are seen to count
    return found
