"""Networks as if they were trained, small ones of every kind, and what a target needs."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import strategies as st

from pocketface.card import Threshold, write_card
from pocketface.deploy import TARGETS, ExportOptions
from pocketface.errors import RecipeError
from pocketface.models import Backbone, Genotype, create_model
from pocketface.models.genotype import INPUTS, NODES, PRIMITIVES
from pocketface.models.weights import save_weights
from pocketface.preprocessing import Preprocessing

torch.set_num_threads(1)

EVERY_PRIMITIVE = Genotype(
    normal=(
        ("max_pool_3x3", 0), ("avg_pool_3x3", 1), ("skip_connect", 0), ("dw_conv_3x3", 1),
        ("dw_conv_5x5", 2), ("dw_conv_7x7", 3), ("dw_conv_1x1", 0), ("skip_connect", 4),
    ),
    reduce=(
        ("max_pool_3x3", 0), ("avg_pool_3x3", 1), ("skip_connect", 0), ("dw_conv_1x1", 1),
        ("dw_conv_3x3", 0), ("dw_conv_5x5", 1), ("dw_conv_7x7", 0), ("skip_connect", 4),
    ),
)  # fmt: skip

FEW_ROWS = ((2, 8, 2, 2), (2, 8, 1, 2), (2, 12, 1, 2))
"""Three reductions and one block with a residual."""

BUILDS: dict[str, Callable[[], Backbone]] = {
    "small": lambda: create_model(
        "pocketnet_nano", image_size=32, channels=8, cells=4, genotype=EVERY_PRIMITIVE
    ),
    "nano": lambda: create_model("pocketnet_nano"),
    "iresnet": lambda: create_model(
        "iresnet_18", image_size=32, embedding_size=16, width=0.125, blocks=(1, 1, 1, 1)
    ),
    "mobilefacenet": lambda: create_model(
        "mobilefacenet", image_size=32, embedding_size=16, rows=FEW_ROWS
    ),
    "mobilefacenet_foamliu": lambda: create_model(
        "mobilefacenet_foamliu", image_size=32, embedding_size=16, rows=FEW_ROWS
    ),
    "mobilenet_v1": lambda: create_model("mobilenet_v1", image_size=32, embedding_size=16),
    "mobilenet_v2": lambda: create_model("mobilenet_v2", image_size=32, embedding_size=16),
}

THRESHOLD = Threshold(
    benchmark="pairs",
    far=1e-3,
    measured_far=1e-3,
    tar=0.9,
    similarity=0.25,
    impostor_pairs=3000,
    flip=True,
)

NEEDS = {
    "openvino": ("openvino",),
    "ncnn": ("ncnn", "pnnx"),
    "litert": ("ai_edge_litert",),
    "executorch": ("executorch",),
}
"""Modules that a target needs and that the tests do without."""


KEPT = [name for name in PRIMITIVES if name != "none"]


@st.composite
def genotypes(draw: st.DrawFn) -> Genotype:
    """Any that a search may end with."""

    def cell():
        return tuple(
            (draw(st.sampled_from(KEPT)), index)
            for node in range(NODES)
            for index in draw(
                st.lists(st.integers(0, INPUTS + node - 1), min_size=2, max_size=2, unique=True)
            )
        )

    return Genotype(normal=cell(), reduce=cell())


def need(target: str) -> None:
    """Skip where the target's extra is not installed."""
    for module in NEEDS.get(target, ()):
        if importlib.util.find_spec(module) is None:
            extras = ",".join(TARGETS[target].extras)
            pytest.skip(f"{module} is not installed (pip install 'pocketface[{extras}]')")


def knows(target: str, options: ExportOptions) -> bool:
    """Whether the target has what these options ask for."""
    try:
        TARGETS[target].check_options(options)
    except RecipeError:
        return False
    return True


def as_trained(network: Backbone) -> Backbone:
    """Give every parameter and statistic a value of its own, as training does."""
    generator = torch.Generator().manual_seed(1)
    for tensor in network.state_dict().values():
        if tensor.ndim > 1:
            bound = (3 / tensor[0].numel()) ** 0.5
            tensor.uniform_(-bound, bound, generator=generator)
        elif tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5, generator=generator)
    return network


def save(network: Backbone, path: Path) -> Path:
    preprocessing = Preprocessing(
        image_size=network.image_size,
        channel_order="bgr",
        mean=(0.4, 0.5, 0.6),
        std=(0.3, 0.25, 0.2),
    )
    card = save_weights(
        network, path, preprocessing=preprocessing, data="noise", licence="CC0", notes="a test"
    )
    write_card(path, card.model_copy(update={"thresholds": [THRESHOLD]}))
    return path
