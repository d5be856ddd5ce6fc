import pytest
import torch
from torch import Tensor, nn

from pocketface.models.cell import Cell, FactorisedReduction, Pool, SeparableConv, primitive
from pocketface.models.genotype import FACES, PRIMITIVES


def images(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


def gradients(output: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return list(torch.autograd.grad((output * weights).sum(), inputs))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("width", [6, 9])  # strided maps of less than 8 channels go another way
def test_folded_1x1_is_the_plain_sequence(
    stride: int, training: bool, width: int, scramble
) -> None:
    folded = SeparableConv(width, 4, kernel=1, stride=stride).double()
    scramble(folded)
    folded.train(training)
    plain = nn.Sequential(
        nn.PReLU(width),
        nn.Conv2d(width, width, 1, stride=stride, groups=width, bias=False),
        nn.Conv2d(width, 4, 1, bias=False),
        nn.BatchNorm2d(4),
    ).double()
    plain.load_state_dict(folded.net.state_dict())
    plain.train(training)
    x = images(3, width, 8, 8)
    expected, actual = plain(x), folded(x)
    torch.testing.assert_close(actual, expected)
    wanted = gradients(expected, [x, *plain.parameters()])
    found = gradients(actual, [x, *folded.parameters()])
    assert len(found) == 6
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(folded.net.state_dict(), plain.state_dict())


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_wide_kernels_keep_the_stride_in_the_depthwise_part(kernel: int, scramble) -> None:
    layer = SeparableConv(4, 4, kernel=kernel, stride=2).double().eval()
    scramble(layer)
    x = images(1, 4, 8, 8)
    expected = nn.functional.conv2d(
        nn.functional.prelu(x, layer.net[0].weight),
        layer.depthwise.weight,
        stride=2,
        padding=kernel // 2,
        groups=4,
    )
    expected = layer.net[3](nn.functional.conv2d(expected, layer.pointwise.weight))
    torch.testing.assert_close(layer(x), expected)
    assert layer(x).shape == (1, 4, 4, 4)


def test_factorised_reduction_is_the_plain_loop(scramble) -> None:
    layer = FactorisedReduction(3, 4).double().eval()
    scramble(layer)
    x = images(2, 3, 6, 6).detach()
    slopes = layer.relu.weight
    expected = torch.zeros(2, 4, 3, 3, dtype=torch.float64)
    for n in range(2):
        for row in range(3):
            for column in range(3):
                for out in range(4):
                    # The first half reads even rows and columns, the second odd ones.
                    shift = 0 if out < 2 else 1
                    depthwise = (layer.conv11, layer.conv21)[shift].weight
                    pointwise = (layer.conv12, layer.conv22)[shift].weight
                    total = 0.0
                    for channel in range(3):
                        value = x[n, channel, 2 * row + shift, 2 * column + shift]
                        value = value if value > 0 else slopes[channel] * value
                        total += (
                            value * depthwise[channel, 0, 0, 0] * pointwise[out % 2, channel, 0, 0]
                        )
                    expected[n, out, row, column] = (
                        total - layer.bn.running_mean[out]
                    ) / torch.sqrt(layer.bn.running_var[out] + 1e-5) * layer.bn.weight[
                        out
                    ] + layer.bn.bias[out]
    torch.testing.assert_close(layer(x), expected)


def test_average_pool_excludes_padding() -> None:
    pool = primitive("avg_pool_3x3", 2, stride=1)
    assert isinstance(pool, Pool)
    ones = torch.ones(1, 2, 4, 4)
    torch.testing.assert_close(pool.pool(ones), ones)
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert primitive("avg_pool_3x3", 1, stride=2).pool(x)[0, 0, 0, 0] == (0 + 1 + 4 + 5) / 4


def test_max_pool_is_not_cut_at_zero_by_the_padding() -> None:
    pool = primitive("max_pool_3x3", 1, stride=1)
    x = -1 - torch.arange(16.0).view(1, 1, 4, 4)
    assert pool.pool(x)[0, 0, 3, 3] == x[0, 0, 2, 2]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitives_keep_channels(name: str, stride: int) -> None:
    x = torch.zeros(2, 4, 8, 8)
    assert primitive(name, 4, stride)(x).shape == (2, 4, 8 // stride, 8 // stride)


def test_skip_is_identity_without_parameters_at_stride_1() -> None:
    assert not list(primitive("skip_connect", 4, 1).parameters())
    assert isinstance(primitive("skip_connect", 4, 2), FactorisedReduction)


@pytest.mark.parametrize("reduces", [False, True])
def test_cell_adds_and_concatenates_its_nodes(reduces: bool, scramble) -> None:
    edges = FACES.reduce if reduces else FACES.normal
    cell = Cell(edges, 6, 8, 4, reduces=reduces, previous_reduces=True).double().eval()
    scramble(cell)
    before, previous = images(1, 6, 16, 16), images(1, 8, 8, 8, seed=2)
    maps = {0: cell.preproc0(before), 1: cell.preproc1(previous)}
    for node in range(4):
        (_, first), (_, second) = edges[2 * node], edges[2 * node + 1]
        operations = cell.dag[node]
        maps[2 + node] = operations[0](maps[first]) + operations[1](maps[second])
    expected = torch.cat([maps[2], maps[3], maps[4], maps[5]], dim=1)
    torch.testing.assert_close(cell(before, previous), expected)
    assert expected.shape == (1, 16, 4, 4) if reduces else (1, 16, 8, 8)
