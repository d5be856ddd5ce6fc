"""Normalisation moved into the first convolution, against the formula in float64."""

import numpy as np
import pytest
import torch
from graph_oracle import compute
from hypothesis import given
from hypothesis import strategies as st
from trained_networks import BUILDS, as_trained

from pocketface.deploy.fuse import fuse
from pocketface.deploy.graph import Affine, Concat, Conv, Graph, Relu
from pocketface.deploy.pixels import take_pixels
from pocketface.deploy.trace import trace_graph
from pocketface.errors import ExportError
from pocketface.preprocessing import Preprocessing

UNEVEN = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def normalised(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """The formula of `Preprocessing`, channel by channel."""
    taken = pixels if preprocessing.channel_order == "rgb" else pixels[:, ::-1]
    channels = [
        (taken[:, c] / 255 - preprocessing.mean[c]) / preprocessing.std[c] for c in range(3)
    ]
    return np.stack(channels, axis=1)


def pixels_for(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, 3, size, size)).astype(np.float64)


def run(graph: Graph, images: np.ndarray) -> np.ndarray:
    return compute(graph, torch.from_numpy(np.ascontiguousarray(images))).numpy()


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("name", sorted(BUILDS))
def test_every_network_takes_pixels_exactly(name: str, order) -> None:
    network = as_trained(BUILDS[name]())
    preprocessing = Preprocessing(image_size=network.image_size, channel_order=order, **UNEVEN)
    graph = trace_graph(network)
    fuse(graph)
    pixels = pixels_for(network.image_size)
    wanted = run(graph, normalised(pixels, preprocessing))
    nodes = len(graph.nodes)
    take_pixels(graph, preprocessing)
    assert len(graph.nodes) == nodes + 1
    assert relative(run(graph, pixels), wanted) < 1e-12


numbers = st.tuples(*[st.floats(0, 1)] * 3)


@given(numbers, st.tuples(*[st.floats(0.01, 1)] * 3), st.sampled_from(["rgb", "bgr"]))
def test_any_preprocessing_in_front_of_a_padded_convolution(mean, std, order) -> None:
    rng = np.random.default_rng(0)
    graph = Graph("images", channels={"images": 3})
    weight, bias = rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)
    graph.output = graph.add(Conv(weight, bias, 1, (1, 1)), "images")
    preprocessing = Preprocessing(image_size=16, channel_order=order, mean=mean, std=std)
    pixels = pixels_for(6)
    wanted = run(graph, normalised(pixels, preprocessing))
    take_pixels(graph, preprocessing)
    np.testing.assert_allclose(run(graph, pixels), wanted, rtol=1e-9, atol=1e-9 * abs(wanted).max())


def test_without_a_mean_nothing_is_added() -> None:
    graph = Graph("images", channels={"images": 3})
    graph.output = graph.add(Conv(np.ones((4, 3, 1, 1)), np.zeros(4)), "images")
    take_pixels(graph, Preprocessing(mean=(0, 0, 0), std=(1 / 255,) * 3))
    assert [type(node.operation) for node in graph.nodes] == [Conv]


def test_all_that_see_the_images_are_changed() -> None:
    rng = np.random.default_rng(0)
    graph = Graph("images", channels={"images": 3})
    left, right = (
        graph.add(Conv(rng.normal(size=(4, 3, 3, 3)), np.zeros(4)), "images") for _ in range(2)
    )
    graph.output = graph.add(Concat(), left, right)
    preprocessing = Preprocessing(channel_order="bgr", **UNEVEN)
    pixels = pixels_for(6)
    wanted = run(graph, normalised(pixels, preprocessing))
    take_pixels(graph, preprocessing)
    assert relative(run(graph, pixels), wanted) < 1e-12


@pytest.mark.parametrize("first", [Relu(), Affine(np.ones(3), np.zeros(3))])
def test_a_network_that_begins_otherwise_is_refused(first) -> None:
    graph = Graph("images", channels={"images": 3})
    graph.output = graph.add(first, "images")
    with pytest.raises(ExportError, match=f"begins with {type(first).__name__}.*float input"):
        take_pixels(graph, Preprocessing())
