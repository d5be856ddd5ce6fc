"""Every registered network in every target, at its own size, as `pocketface export` writes it."""

import numpy as np
import pytest
import torch
from trained_networks import need

from pocketface.deploy import TARGETS, ExportOptions, export_network
from pocketface.embedding import load_embedder
from pocketface.models import create_model, list_models
from pocketface.models.weights import save_weights
from pocketface.preprocessing import Preprocessing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

TOO_LARGE = {"iresnet_90", "iresnet_100"}
"""Of the same layers as the smaller ones, and a quarter of a gigabyte each."""


@pytest.fixture(scope="module")
def weights(request, tmp_path_factory):
    """Trained-like weights of the network, at its usual size.

    Scales and slopes of their own, and statistics of what really comes: with those it begins with,
    the numbers of a deep network leave float32's range.
    """
    network = create_model(request.param, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        if tensor.ndim == 1 and tensor.is_floating_point() and not name.endswith("running_mean"):
            tensor.mul_(torch.empty_like(tensor).uniform_(0.8, 1.25, generator=generator))
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the mean of all batches
    shape = (4, 3, network.image_size, network.image_size)
    with torch.no_grad():
        network.train()(torch.randn(shape, generator=generator))
    path = tmp_path_factory.mktemp(request.param) / "w.safetensors"
    preprocessing = Preprocessing(
        image_size=network.image_size,
        channel_order="bgr",
        mean=(0.4, 0.5, 0.6),
        std=(0.3, 0.25, 0.2),
    )
    save_weights(network, path, preprocessing=preprocessing, data="noise", licence="CC0")
    return path


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("weights", sorted({*list_models()} - TOO_LARGE), indirect=True)
def test_it_is_its_source(weights, target, tmp_path) -> None:
    """The export compares with its source itself; it must not refuse, and the file must load."""
    need(target)
    known = TARGETS[target].options
    options = ExportOptions(input="uint8" if "input" in known else "float", output="unit")
    done = export_network(
        weights,
        tmp_path / f"m{TARGETS[target].suffix}",
        generator=np.random.default_rng(0),
        target=target,
        options=options,
    )
    assert done.parity.holds
    assert done.parity.relative > 0  # two runtimes were compared, not one with itself
    images = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    found, wanted = load_embedder(done.path).embed(images), load_embedder(weights).embed(images)
    assert np.linalg.norm(found - wanted) < 1e-4 * np.linalg.norm(wanted)
