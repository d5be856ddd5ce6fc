"""The edges that leave one map, against the primitives of `models.cell`, each by itself."""

import pytest
import torch
from torch import Tensor, nn

from pocketface.models.cell import FactorisedReduction, Pool, SeparableConv, primitive
from pocketface.models.prelu import PReLU
from pocketface.search.architecture import ArchitectureWeights, edge_index
from pocketface.search.mixed import SEARCH_PRIMITIVES, MixedEdges, branched_prelu
from pocketface.search.supernet import SearchCell

EIGHT = [
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "dw_conv_3x3",
    "dw_conv_5x5",
    "dw_conv_7x7",
    "dw_conv_1x1",
    "none",
]


def fill(module: nn.Module, generator: torch.Generator) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, generator=generator)


def plain_primitive(edges: MixedEdges, edge: int, name: str, channels: int) -> nn.Module:
    """Primitive `name` of edge `edge` by itself, with the weights that `edges` holds for it."""
    module = primitive(name, channels, edges.stride).double()
    rows = slice(edge * channels, (edge + 1) * channels)
    with torch.no_grad():
        if isinstance(module, SeparableConv):
            ours = edges.convolutions[name]
            prelu = module.net[0]
            assert isinstance(prelu, PReLU)
            prelu.weight.copy_(ours.slope[edge])
            module.depthwise.weight.copy_(ours.depthwise[rows])
            module.pointwise.weight.copy_(ours.pointwise[rows])
        elif isinstance(module, FactorisedReduction):
            ours = edges.skips
            module.relu.weight.copy_(ours.slope[edge])
            module.conv11.weight.copy_(ours.depthwise[edge, 0][:, None])
            module.conv21.weight.copy_(ours.depthwise[edge, 1][:, None])
            module.conv12.weight.copy_(ours.pointwise[edge, 0][:, :, None, None])
            module.conv22.weight.copy_(ours.pointwise[edge, 1][:, :, None, None])
    return module


def plain_edge(modules: dict[str, nn.Module], x: Tensor, weights: Tensor) -> Tensor:
    return sum(weights[column] * module(x) for column, module in enumerate(modules.values()))


def test_the_eight_primitives_stand_in_the_order_of_the_facts() -> None:
    assert list(SEARCH_PRIMITIVES) == EIGHT


@pytest.mark.parametrize("stride", [1, 2])
def test_the_edges_of_a_map_give_what_each_primitive_gives_by_itself(stride: int) -> None:
    generator = torch.Generator().manual_seed(3)
    channels, count = 4, 3
    edges = MixedEdges(channels, count, stride).double()
    fill(edges, generator)
    x = torch.randn(3, channels, 8, 8, dtype=torch.float64, generator=generator)
    weights = torch.rand(count, 8, dtype=torch.float64, generator=generator)
    skip_scale = torch.rand(3, count, dtype=torch.float64, generator=generator)
    x.requires_grad_()
    weights.requires_grad_()
    plain = [
        {name: plain_primitive(edges, edge, name, channels) for name in EIGHT[:-1]}
        for edge in range(count)
    ]
    scaled = []
    for edge, modules in enumerate(plain):
        total = plain_edge(modules, x, weights[edge])
        skipped = weights[edge, 2] * modules["skip_connect"](x)
        scaled.append(total + (skip_scale[:, edge, None, None, None] - 1) * skipped)
    theirs = torch.stack(scaled, dim=1)
    ours = edges(x, weights, skip_scale)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)

    cotangent = torch.randn(ours.shape, dtype=torch.float64, generator=generator)
    own = [parameter for _, parameter in sorted(edges.named_parameters())]
    got = torch.autograd.grad(ours, [x, weights, *own], cotangent)
    wanted = torch.autograd.grad(theirs, [x, weights], cotangent, retain_graph=True)
    torch.testing.assert_close(got[0], wanted[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(got[1], wanted[1], rtol=1e-9, atol=1e-9)
    for edge, modules in enumerate(plain):
        for name, module in modules.items():
            if not isinstance(module, SeparableConv):
                continue
            alone = [module.net[0].weight, module.depthwise.weight, module.pointwise.weight]
            grads = torch.autograd.grad(theirs, alone, cotangent, retain_graph=True)
            rows = slice(edge * channels, (edge + 1) * channels)
            named = dict(zip(sorted(dict(edges.named_parameters())), got[2:], strict=True))
            prefix = f"convolutions.{name}"
            for place, key in enumerate(("slope", "depthwise", "pointwise")):
                stacked = named[f"{prefix}.{key}"]
                part = stacked[edge] if key == "slope" else stacked[rows]
                torch.testing.assert_close(part, grads[place], rtol=1e-9, atol=1e-9)
    alone_bn = plain[0]["max_pool_3x3"]
    assert isinstance(alone_bn, Pool)
    edges.max_bn.reset_running_stats()
    alone_bn.bn.reset_running_stats()
    edges(x, weights)
    alone_bn(x)
    torch.testing.assert_close(edges.max_bn.running_mean, alone_bn.bn.running_mean)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_skip_scale_of_one_is_none_at_all(stride: int) -> None:
    generator = torch.Generator().manual_seed(4)
    edges = MixedEdges(2, 2, stride).double()
    fill(edges, generator)
    x = torch.randn(3, 2, 4, 4, dtype=torch.float64, generator=generator)
    weights = torch.rand(2, 8, dtype=torch.float64, generator=generator)
    ones = torch.ones(3, 2, dtype=torch.float64)
    torch.testing.assert_close(edges(x, weights, ones), edges(x, weights))


def test_the_gradient_of_branched_prelu_and_the_gradient_of_that() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 2, 2, dtype=torch.float64, generator=generator)
    slopes = torch.randn(2, 3, dtype=torch.float64, generator=generator)
    x.requires_grad_()
    slopes.requires_grad_()
    assert torch.autograd.gradcheck(branched_prelu, (x, slopes))
    assert torch.autograd.gradgradcheck(branched_prelu, (x, slopes))
    with torch.no_grad():
        plain = torch.cat([torch.nn.functional.prelu(x, slope) for slope in slopes], dim=1)
        torch.testing.assert_close(branched_prelu(x, slopes), plain)


def test_edges_are_counted_node_by_node_and_input_by_input() -> None:
    pairs = [(node, source) for node in range(4) for source in range(2 + node)]
    assert [edge_index(*pair) for pair in pairs] == list(range(14))


@pytest.mark.parametrize("reduces", [False, True])
def test_a_cell_adds_up_the_edges_of_each_node(reduces: bool) -> None:
    generator = torch.Generator().manual_seed(5)
    cell = SearchCell(6, 6, 2, reduces=reduces, previous_reduces=False).double()
    fill(cell, generator)
    before, previous = torch.randn(2, 2, 6, 4, 4, dtype=torch.float64, generator=generator)
    weights = torch.rand(14, 8, dtype=torch.float64, generator=generator)
    maps = [cell.preproc0(before), cell.preproc1(previous)]
    row = 0
    for node in range(4):
        total = 0
        for source in range(2 + node):
            edges = cell.edges[source]
            assert isinstance(edges, MixedEdges)
            assert edges.stride == (2 if reduces and source < 2 else 1)
            place = node - max(0, source - 1)
            modules = {name: plain_primitive(edges, place, name, 2) for name in EIGHT[:-1]}
            total = total + plain_edge(modules, maps[source], weights[row])
            row += 1
        maps.append(total)
    theirs = torch.cat(maps[2:], dim=1)
    torch.testing.assert_close(cell(before, previous, weights), theirs, rtol=1e-9, atol=1e-9)


def test_architecture_weights_begin_small_and_are_drawn_from_the_generator() -> None:
    first, again = (ArchitectureWeights(generator=torch.Generator().manual_seed(1)) for _ in "12")
    assert first.normal.shape == first.reduce.shape == (14, 8)
    assert torch.equal(first.normal, again.normal)
    assert not torch.equal(first.normal, first.reduce)
    assert 3e-4 < float(first.normal.detach().std()) < 3e-3
    for softmax in first.softmax():
        torch.testing.assert_close(softmax.sum(dim=1), torch.ones(14))
