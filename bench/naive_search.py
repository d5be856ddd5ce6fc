"""One second-order step of DARTS written down as the papers' words say it. A yardstick.

Every primitive of every edge stands by itself, as torch's own layers; the virtual network and the
two beside it are deep copies. Written from the description of the search, for comparison only.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERNELS = {3: 3, 4: 5, 5: 7, 6: 1}
"""The columns of the architecture weights that are separable convolutions, and their kernels."""


def separable(into: int, out: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.PReLU(into),
        nn.Conv2d(into, into, kernel, stride, kernel // 2, groups=into, bias=False),
        nn.Conv2d(into, out, 1, bias=False),
        nn.BatchNorm2d(out, affine=False),
    )


class Reduction(nn.Module):
    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.relu = nn.PReLU(into)
        self.conv11 = nn.Conv2d(into, into, 1, 2, groups=into, bias=False)
        self.conv12 = nn.Conv2d(into, out // 2, 1, bias=False)
        self.conv21 = nn.Conv2d(into, into, 1, 2, groups=into, bias=False)
        self.conv22 = nn.Conv2d(into, out // 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(out, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        halves = (self.conv12(self.conv11(x)), self.conv22(self.conv21(x[:, :, 1:, 1:])))
        return self.bn(torch.cat(halves, dim=1))


class Zero(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride] * 0


class MixedOperation(nn.Module):
    """The weighted sum of the eight primitives."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        pools = (
            nn.MaxPool2d(3, stride, 1),
            nn.AvgPool2d(3, stride, 1, count_include_pad=False),
        )
        self.primitives = nn.ModuleList(
            [
                *(nn.Sequential(p, nn.BatchNorm2d(channels, affine=False)) for p in pools),
                nn.Identity() if stride == 1 else Reduction(channels, channels),
                *(separable(channels, channels, kernel, stride) for kernel in KERNELS.values()),
                Zero(stride),
            ]
        )

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return sum(w * primitive(x) for w, primitive in zip(weights, self.primitives, strict=True))


class Cell(nn.Module):
    def __init__(
        self, before: int, previous: int, channels: int, reduces: bool, previous_reduces: bool
    ) -> None:
        super().__init__()
        self.reduces = reduces
        self.preproc0 = (
            Reduction(before, channels) if previous_reduces else separable(before, channels, 1, 1)
        )
        self.preproc1 = separable(previous, channels, 1, 1)
        self.edges = nn.ModuleList(
            MixedOperation(channels, 2 if reduces and source < 2 else 1)
            for node in range(4)
            for source in range(2 + node)
        )

    def forward(self, before: Tensor, previous: Tensor, weights: Tensor) -> Tensor:
        maps = [self.preproc0(before), self.preproc1(previous)]
        first = 0
        for node in range(4):
            maps.append(
                sum(
                    self.edges[first + source](maps[source], weights[first + source])
                    for source in range(2 + node)
                )
            )
            first += 2 + node
        return torch.cat(maps[2:], dim=1)


class NaiveNetwork(nn.Module):
    """Stem, cells, tail, linear classifier, and the architecture weights as its own."""

    def __init__(
        self,
        image_size: int,
        channels: int,
        cells: int,
        hidden: int,
        groups: int,
        embedding_size: int,
        people: int,
    ) -> None:
        super().__init__()
        width = 3 * channels
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width))
        self.cells = nn.ModuleList()
        before, previous, reduced = width, width, False
        for index in range(cells):
            reduces = index in (cells // 3, 2 * cells // 3, cells - 1)
            channels *= 2 if reduces else 1
            self.cells.append(Cell(before, previous, channels, reduces, reduced))
            before, previous, reduced = previous, 4 * channels, reduces
        self.tail = nn.Sequential(
            nn.PReLU(previous),
            nn.Conv2d(previous, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.PReLU(hidden),
            nn.Conv2d(hidden, hidden, image_size // 16, groups=groups, bias=False),
            nn.BatchNorm2d(hidden),
            nn.Conv2d(hidden, embedding_size, 1, bias=False),
            nn.BatchNorm2d(embedding_size),
        )
        self.classifier = nn.Linear(embedding_size, people)
        self.alphas = nn.ParameterList(nn.Parameter(torch.zeros(14, 8)) for _ in range(2))

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        normal, reduce = (alpha.softmax(dim=1) for alpha in self.alphas)
        before = previous = self.stem(images)
        for cell in self.cells:
            weights = reduce if cell.reduces else normal
            before, previous = previous, cell(before, previous, weights)
        return F.cross_entropy(self.classifier(self.tail(previous).flatten(1)), labels)

    def weights(self) -> list[nn.Parameter]:
        own = {id(alpha) for alpha in self.alphas}
        return [parameter for parameter in self.parameters() if id(parameter) not in own]


def second_order_step(
    network: NaiveNetwork,
    training: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
    *,
    rate: float,
    momentum: float,
    weight_decay: float,
    velocity: list[Tensor] | None = None,
) -> list[Tensor]:
    """The architecture gradient; `network` keeps its weights."""
    virtual = copy.deepcopy(network)
    gradients = torch.autograd.grad(network.loss(*training), network.weights())
    with torch.no_grad():
        for number, (weight, gradient) in enumerate(zip(virtual.weights(), gradients, strict=True)):
            moment = 0 if velocity is None else momentum * velocity[number]
            weight -= rate * (moment + gradient + weight_decay * weight)
    virtual.loss(*held_out).backward()
    direction = [weight.grad for weight in virtual.weights()]
    epsilon = 0.01 / torch.cat([part.flatten() for part in direction]).norm()
    sides = []
    for sign in (1, -1):
        beside = copy.deepcopy(network)
        with torch.no_grad():
            for weight, part in zip(beside.weights(), direction, strict=True):
                weight += sign * epsilon * part
        sides.append(torch.autograd.grad(beside.loss(*training), list(beside.alphas)))
    return [
        alpha.grad - rate * (above - below) / (2 * epsilon)
        for alpha, above, below in zip(virtual.alphas, *sides, strict=True)
    ]
