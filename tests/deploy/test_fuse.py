"""Rewritten graphs against the networks they were read from, in float64 and in the runtime."""

from collections import Counter

import numpy as np
import onnxruntime
import pytest
import torch
from graph_oracle import compute
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from trained_networks import BUILDS, as_trained, genotypes

from pocketface.deploy.activation import split_prelus
from pocketface.deploy.fold import fold
from pocketface.deploy.fuse import fuse
from pocketface.deploy.graph import Add, Affine, Concat, Conv, Graph, PRelu, Relu
from pocketface.deploy.parity import LEAST_COSINE, MOST_RELATIVE, compare
from pocketface.deploy.trace import trace_graph
from pocketface.deploy.write import write_graph
from pocketface.errors import ExportError
from pocketface.models import Genotype, create_model, list_models

SMALL = {
    "iresnet": {"width": 0.125, "blocks": (1, 2, 1, 1)},
    "pocketnet": {"channels": 4, "cells": 5},
}
"""Options that make every architecture small; layout and layers stay."""


def small(name: str):
    options = next((o for start, o in SMALL.items() if name.startswith(start)), {})
    return as_trained(create_model(name, image_size=32, embedding_size=16, **options)).eval()


def images_for(network, count: int = 2, seed: int = 0):
    shape = (count, 3, network.image_size, network.image_size)
    return np.random.default_rng(seed).normal(size=shape)


def output_of(network, images):
    with torch.no_grad():
        return network.double()(torch.from_numpy(images)).numpy()


def difference(found, wanted) -> float:
    error = np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
    return float(error.max())


def check_everywhere(network) -> None:
    """As traced, folded and fused it is the network, in 64 bits; so is the file in 32."""
    images = images_for(network)
    wanted = output_of(network, images)
    graph = trace_graph(network.float())
    for rewrite in (lambda _: None, fold, split_prelus):
        rewrite(graph)
        assert difference(compute(graph, torch.from_numpy(images)).numpy(), wanted) < 1e-10
    model = write_graph(graph, network.image_size, 18, {})
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"images": images.astype(np.float32)})
    parity = compare(wanted.astype(np.float32), found)
    assert parity.cosine >= LEAST_COSINE
    assert parity.relative <= MOST_RELATIVE


@pytest.mark.parametrize("name", sorted(list_models()))
def test_every_registered_network_is_fused_exactly(name: str) -> None:
    check_everywhere(small(name))


@settings(max_examples=12, deadline=None)
@given(genotypes(), st.integers(0, 1000))
def test_any_genotype_is_fused_exactly(genotype: Genotype, seed: int) -> None:
    network = create_model(
        "pocketnet_nano", image_size=32, embedding_size=8, channels=4, cells=4, genotype=genotype
    )
    network = as_trained(network).eval()
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        for layer in network.modules():
            if isinstance(layer, nn.PReLU):
                layer.weight.uniform_(-1.5, 2.5, generator=generator)
    check_everywhere(network)


@pytest.mark.parametrize("name", ["small", "nano"])
def test_a_pocketnet_keeps_convolutions_sums_and_pools_only(name: str) -> None:
    graph = trace_graph(as_trained(BUILDS[name]()))
    traced = Counter(type(node.operation) for node in graph.nodes)
    assert traced[PRelu] > 0
    fold(graph)
    folded = Counter(type(node.operation) for node in graph.nodes)
    # Only a batch norm behind a pool has no convolution to go into.
    pooled = sum(
        graph.producers()[node.inputs[0]].operation.__class__.__name__ == "Pool"
        for node in graph.nodes
        if isinstance(node.operation, Affine)
    )
    assert folded[Affine] == pooled < traced[Affine]
    scales = [
        node
        for node in graph.nodes
        if isinstance(node.operation, Conv)
        and node.operation.depthwise
        and node.operation.kernel == 1
    ]
    assert scales == []
    split_prelus(graph)
    assert PRelu not in {type(node.operation) for node in graph.nodes}


def test_a_batch_norm_before_a_padded_convolution_stays() -> None:
    """Folded, its shift would reach into the padding, where the network has zeros."""
    graph = Graph("images", channels={"images": 3})
    rng = np.random.default_rng(0)
    x = graph.add(Affine(rng.normal(size=3), rng.normal(size=3)), "images")
    graph.output = graph.add(Conv(rng.normal(size=(4, 3, 3, 3)), np.zeros(4), 1, (1, 1)), x)
    fold(graph)
    assert [type(node.operation) for node in graph.nodes] == [Affine, Conv]


def test_a_value_that_two_take_is_not_folded_away() -> None:
    graph = Graph("images", channels={"images": 3})
    rng = np.random.default_rng(0)
    x = graph.add(Conv(rng.normal(size=(3, 3, 1, 1)), rng.normal(size=3)), "images")
    y = graph.add(Affine(rng.normal(size=3), rng.normal(size=3)), x)
    graph.output = graph.add(Concat(), x, y)
    images = torch.from_numpy(rng.normal(size=(2, 3, 4, 4)))
    wanted = compute(graph, images)
    fold(graph)
    assert len(graph.nodes) == 3
    torch.testing.assert_close(compute(graph, images), wanted)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6), st.integers(0, 1000))
def test_a_split_prelu_is_the_prelu(slopes: list[float], seed: int) -> None:
    graph = Graph("images", channels={"images": len(slopes)})
    graph.output = graph.add(PRelu(np.array(slopes)), "images")
    images = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, len(slopes), 3, 3)))
    wanted = compute(graph, images)
    split_prelus(graph)
    assert {type(node.operation) for node in graph.nodes} == {Conv, Relu, Add}
    torch.testing.assert_close(compute(graph, images), wanted, rtol=1e-12, atol=1e-12)


def test_tracing_leaves_the_network_as_it_was() -> None:
    network = as_trained(BUILDS["small"]())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fuse(trace_graph(network))
    assert network.training
    with pytest.raises(ValueError, match="was built for images"):
        network(torch.zeros(2, 3, 16, 16))
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_an_unknown_layer_is_named() -> None:
    network = as_trained(BUILDS["small"]())
    network.tail[0] = nn.GELU()
    with pytest.raises(ExportError, match=r"does not know the layer GELU; it knows .*Conv2d"):
        trace_graph(network)
