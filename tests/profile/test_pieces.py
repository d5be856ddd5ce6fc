"""A PocketNet's pieces against the network itself, and predictions against a plain loop."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pocketface.models import Genotype, create_model, outline_model
from pocketface.models.cell import Cell, FactorisedReduction, Pool, SeparableConv
from pocketface.models.genotype import CIFAR10, FACES, INPUTS, NODES, PRIMITIVES
from pocketface.profile.latency_table import Entry, LatencyTable, Piece
from pocketface.profile.machine import describe_machine
from pocketface.profile.pieces import (
    EMBEDDING_SIZES,
    Placed,
    Shape,
    pieces_of,
    pieces_of_any,
    pieces_of_grid,
    predict_latency,
)


@st.composite
def genotypes(draw: st.DrawFn) -> Genotype:
    def cell():
        return tuple(
            (draw(st.sampled_from(PRIMITIVES)), index)
            for node in range(NODES)
            for index in draw(
                st.lists(st.integers(0, INPUTS + node - 1), min_size=2, max_size=2, unique=True)
            )
        )

    return Genotype(normal=cell(), reduce=cell())


shapes = st.builds(
    Shape, st.sampled_from([4, 8]), st.integers(4, 8), st.sampled_from([32, 48]), st.just(16)
)


def network_of(genotype: Genotype, shape: Shape):
    return outline_model(
        "pocketnet_nano",
        genotype=genotype,
        channels=shape.channels,
        cells=shape.cells,
        image_size=shape.image_size,
        embedding_size=shape.embedding_size,
    ).eval()


def seen_in(network) -> list[Placed]:
    """The pieces as the network's own modules meet them in a forward pass."""
    found: list[Placed] = []

    def named(name: str, module: nn.Module) -> str:
        edge = name.split(".")
        if isinstance(module, FactorisedReduction):
            return "factorised_reduction" if "preproc0" in name else "skip_connect"
        if isinstance(module, Pool):
            average = isinstance(module.pool, nn.AvgPool2d)
            return "avg_pool_3x3" if average else "max_pool_3x3"
        if isinstance(module, nn.Identity):
            return "skip_connect"
        assert isinstance(module, SeparableConv)
        kernel = module.depthwise.kernel_size[0]
        return "preprocess" if edge[2].startswith("preproc") else f"dw_conv_{kernel}x{kernel}"

    def watch(name: str):
        def look(module, inputs, output) -> None:
            x = inputs[0]
            halved = 2 if output.shape[-1] < x.shape[-1] else 1
            if isinstance(module, Cell):
                for _ in range(NODES):
                    width = output.shape[1] // NODES
                    found.append(Placed(name, Piece("sum", output.shape[-1], 1, width, width)))
                piece = Piece("concatenation", output.shape[-1], 1, width, output.shape[1])
            elif name in ("stem", "tail"):
                halved = 2 if name == "stem" else 1
                piece = Piece(name, x.shape[-1], halved, x.shape[1], output.shape[1])
            else:
                called = named(name, module)
                piece = Piece(called, x.shape[-1], halved, x.shape[1], output.shape[1])
            found.append(Placed(name, piece))

        return look

    kinds = (Cell, FactorisedReduction, Pool, SeparableConv, nn.Identity)
    hooks = [
        module.register_forward_hook(watch(name))
        for name, module in network.named_modules()
        if isinstance(module, kinds) or name in ("stem", "tail")
    ]
    size = network.image_size
    with torch.no_grad():
        network(torch.empty(1, 3, size, size, device="meta"))
    for hook in hooks:
        hook.remove()
    return found


@settings(max_examples=6, deadline=None)
@given(genotypes(), shapes)
def test_the_pieces_are_those_that_the_network_computes(genotype, shape) -> None:
    network = network_of(genotype, shape)
    assert Shape.of(network) == shape
    assert list(pieces_of(genotype, shape)) == seen_in(network)


def priced(pieces, prices) -> LatencyTable:
    return LatencyTable(
        version="0",
        created="",
        machine=describe_machine(),
        load=None,
        runtime="onnxruntime",
        runtime_version="1",
        threads=1,
        clock="cpu",
        entries=tuple(
            Entry(**piece._asdict(), microseconds=price, low=price, high=price)
            for piece, price in zip(pieces, prices, strict=True)
        ),
    )


@settings(max_examples=6, deadline=None)
@given(genotypes(), genotypes(), shapes, st.integers(0, 1000))
def test_a_prediction_is_the_plain_sum_and_any_genotype_is_covered(
    genotype, other, shape, seed
) -> None:
    pieces = pieces_of_any([network_of(other, shape)])
    assert not any(piece.free for piece in pieces)
    rng = random.Random(seed)
    table = priced(pieces, [rng.uniform(0, 100) for _ in pieces])
    total = 0.0
    for where, piece in seen_in(network_of(genotype, shape)):
        for entry in table.entries:
            same_map = (entry.size, entry.stride) == (piece.size, piece.stride)
            widths = (entry.inputs, entry.outputs) == (piece.inputs, piece.outputs)
            if entry.operation == piece.operation and same_map and widths:
                total += entry.microseconds
                break
        else:
            assert piece.operation == "skip_connect", where
            assert piece.stride == 1
    assert predict_latency(table, genotype, shape) == pytest.approx(total / 1e3, rel=1e-12)


def test_networks_together_need_what_each_needs() -> None:
    small, medium = outline_model("pocketnet_s_128"), outline_model("pocketnet_m_256")
    both = set(pieces_of_any([small, medium]))
    assert both == set(pieces_of_any([small])) | set(pieces_of_any([medium]))
    assert len(both) == len(pieces_of_any([small, medium]))


@pytest.mark.parametrize("name", ["pocketnet_s_128", "pocketnet_s_256"])
def test_the_usual_grid_covers_the_small_networks(name: str) -> None:
    grid = set(pieces_of_grid((56, 28, 14, 7), (16, 32, 64, 128)))
    assert set(pieces_of_any([outline_model(name)])) <= grid
    for cells in (4, 5, 8):
        network = outline_model(name, cells=cells)
        assert set(pieces_of_any([network])) <= grid


def test_the_grid_has_every_primitive_where_it_can_stand() -> None:
    grid = pieces_of_grid((8, 4, 4), (6,))
    assert len(grid) == len(set(grid))
    strides = {(p.operation, p.size, p.stride) for p in grid if p.operation in PRIMITIVES}
    unit = {(name, size, 1) for name in PRIMITIVES for size in (8, 4) if name != "skip_connect"}
    assert strides == unit | {(name, 8, 2) for name in PRIMITIVES}
    assert {p.outputs for p in grid if p.operation == "tail"} == set(EMBEDDING_SIZES)
    assert [p for p in grid if p.operation == "stem"] == [Piece("stem", 16, 2, 3, 24)]
    assert {p.inputs for p in grid if p.operation == "factorised_reduction"} == {6, 12}


def test_only_pocketnets_have_pieces() -> None:
    with pytest.raises(TypeError, match="mobilefacenet is no PocketNet"):
        pieces_of_any([outline_model("mobilefacenet")])


def test_the_published_genotypes_differ_in_price() -> None:
    network = create_model("pocketnet_s_128")
    pieces = pieces_of_any([network])
    table = priced(pieces, [10.0 if p.operation == "dw_conv_7x7" else 1.0 for p in pieces])
    shape = Shape.of(network)
    faces, cifar10 = (predict_latency(table, genotype, shape) for genotype in (FACES, CIFAR10))
    # 3 dw7 in reduction cells of one, 2 in each of 15 normal cells and 3 more of the other.
    assert cifar10 > faces
