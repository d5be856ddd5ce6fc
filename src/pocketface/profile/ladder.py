"""Networks that differ in one operation only, to measure what it adds to a network.

A ladder has `RUNGS` steps, each of which gives a fresh map. A bare ladder does nothing else; a
ladder of a piece computes that piece on each of these maps. One pixel of every result goes to the
output, so that nothing can be left out. The difference of the two, over the number of rungs, is
what the piece costs inside a network: opening a session, calling it and handing over the images
are in both. Both go the way of every export: traced, fused, written.

What stands inside a cell is measured between maps four times as wide, such as a cell reads at its
inputs and writes at its end: without them a ladder stays in the processor's nearest caches, and
tells a fifth too little.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pocketface.deploy.fuse import fuse
from pocketface.deploy.options import OPSETS
from pocketface.deploy.trace import trace_graph
from pocketface.deploy.write import write_graph
from pocketface.models.cell import FactorisedReduction, SeparableConv, primitive
from pocketface.models.genotype import NODES
from pocketface.models.pocketnet import tail_width
from pocketface.models.prelu import PReLU
from pocketface.profile.latency_table import Piece
from pocketface.profile.open_subject import draw_as_trained

RUNGS = 8
"""How often a piece stands in its ladder."""


class Ladder(nn.Module):
    """Maps (N, inputs, size, size) one after the other, and a piece on each; None for bare.

    With `within` the maps come from wider ones, as inside a cell.
    """

    architecture = "ladder"

    def __init__(self, size: int, inputs: int, piece: Piece | None, *, within: bool) -> None:
        super().__init__()
        self.kind = "" if piece is None else piece.operation
        self.within = within
        width = NODES * inputs if within else inputs
        lead = nn.Sequential(nn.Conv2d(3, width, 1), nn.ReLU())
        self.lead = nn.Identity() if width == 3 else lead
        # Bends keep convolutions that follow each other from being folded into one.
        self.chain = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 1, groups=width), nn.ReLU()) for _ in _rungs()
        )
        self.steps = nn.ModuleList(
            nn.Conv2d(width, inputs, 1) if within else nn.Identity() for _ in _rungs()
        )
        self.bends = nn.ModuleList(nn.ReLU() if within else nn.Identity() for _ in _rungs())
        build = nn.Identity if piece is None or piece.operation in _JOINS else _builder(piece)
        self.rungs = nn.ModuleList(build() for _ in _rungs())
        self.pixels = nn.ModuleList(nn.MaxPool2d(1, stride=size) for _ in _rungs())

    def forward(self, images: Tensor) -> Tensor:
        """Climb the ladder with images (N, 3, size, size); gives one pixel of every result."""
        wide = self.lead(images)
        maps: list[Tensor] = []
        results = []
        for link, step, bend, rung, pixel in zip(
            self.chain, self.steps, self.bends, self.rungs, self.pixels, strict=True
        ):
            wide = link(wide)
            x = step(wide)
            if self.kind == "sum" and len(maps) > 1:
                x = x + maps[-2]
            x = bend(x)
            maps.append(x)
            if self.kind == "concatenation" and len(maps) >= NODES:
                results.append(pixel(torch.cat(maps[-NODES:], dim=1)))
            else:
                results.append(pixel(rung(x)))
        return torch.cat(results, dim=1).flatten(1)


_JOINS = {"sum": RUNGS - 2, "concatenation": RUNGS - NODES + 1}
"""Pieces of several maps, and how many rungs have so many maps below them."""


def times_in_ladder(piece: Piece) -> int:
    """How often `piece` stands in its ladder."""
    return _JOINS.get(piece.operation, RUNGS)


def ladder_onnx(piece: Piece, generator: torch.Generator, *, bare: bool = False) -> bytes:
    """The ONNX model of a ladder of `piece`, or of a bare one of such maps.

    Its weights are drawn from `generator`.
    """
    with torch.device("meta"):
        ladder = Ladder(piece.size, piece.inputs, None if bare else piece, within=piece.within)
    ladder.to_empty(device="cpu").eval()
    for module in ladder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.uniform_(module.bias, 0.0, 0.1, generator=generator)
        elif isinstance(module, nn.BatchNorm2d | nn.PReLU):
            module.reset_parameters()
    draw_as_trained(ladder, generator)
    # Of a backbone tracing wants no more than a module with a name.
    backbone: Any = ladder
    graph = trace_graph(backbone)
    fuse(graph)
    content: bytes = write_graph(graph, piece.size, OPSETS[0], {}).SerializeToString()
    return content


def _rungs() -> range:
    return range(RUNGS)


def _builder(piece: Piece) -> Callable[[], nn.Module]:
    """What builds the modules of a piece, as a PocketNet has them."""
    inputs, outputs = piece.inputs, piece.outputs
    match piece.operation:
        case "preprocess":
            return lambda: SeparableConv(inputs, outputs, kernel=1, stride=1)
        case "factorised_reduction":
            return lambda: FactorisedReduction(inputs, outputs)
        case "stem":
            return lambda: nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
            )
        case "tail":
            return lambda: _tail(piece)
        case name:
            return lambda: primitive(name, inputs, piece.stride)


def _tail(piece: Piece) -> nn.Module:
    hidden = tail_width(piece.outputs)
    return nn.Sequential(
        PReLU(piece.inputs),
        nn.Conv2d(piece.inputs, hidden, 1, bias=False),
        nn.BatchNorm2d(hidden),
        PReLU(hidden),
        nn.Conv2d(hidden, hidden, piece.size, groups=hidden, bias=False),
        nn.BatchNorm2d(hidden),
        nn.Conv2d(hidden, piece.outputs, 1, bias=False),
        nn.BatchNorm2d(piece.outputs),
    )
