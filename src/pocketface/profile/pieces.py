"""What a PocketNet is made of, piece by piece, and what it therefore takes by a latency table."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pocketface.models.genotype import INPUTS, NODES, PRIMITIVES, Genotype
from pocketface.models.pocketnet import PocketNet, reduction_places
from pocketface.profile.latency_table import LatencyTable, Piece

if TYPE_CHECKING:
    from pocketface.models.backbone import Backbone

EMBEDDING_SIZES = (128, 256, 512)
"""Tails that a table has unless networks are named."""


class Placed(NamedTuple):
    """A piece and the module of the network where it stands."""

    where: str
    piece: Piece


@dataclass(frozen=True)
class Shape:
    """What beside its genotype tells a PocketNet's pieces; as `PocketNet` takes it."""

    channels: int
    cells: int
    image_size: int
    embedding_size: int

    @classmethod
    def of(cls, network: "Backbone") -> "Shape":
        """The shape of a PocketNet."""
        options = network.options
        return cls(
            options["channels"], options["cells"], network.image_size, network.embedding_size
        )


def pieces_of(genotype: Genotype, shape: Shape) -> Iterator[Placed]:
    """All pieces of a PocketNet, the free ones too, in the order in which it computes them."""
    width, size = shape.channels, shape.image_size
    reductions = reduction_places(shape.cells)
    before = previous = NODES * width
    yield Placed("stem", Piece("stem", size, 2, 3, previous))
    size //= 2
    halved = False
    for index in range(shape.cells):
        reduces = index in reductions
        width *= 2 if reduces else 1
        cell = f"cells.{index}"
        yield Placed(f"{cell}.preproc0", _first_input(size, before, width, halved=halved))
        yield Placed(f"{cell}.preproc1", Piece("preprocess", size, 1, previous, width))
        small = size // 2 if reduces else size
        for edge, (primitive, source) in enumerate(genotype.reduce if reduces else genotype.normal):
            shrinks = reduces and source < INPUTS
            piece = Piece(primitive, size if shrinks else small, 1 + shrinks, width, width)
            yield Placed(f"{cell}.dag.{edge // 2}.{edge % 2}", piece)
        for _ in range(NODES):
            yield Placed(cell, Piece("sum", small, 1, width, width))
        yield Placed(cell, Piece("concatenation", small, 1, width, NODES * width))
        before, previous, size, halved = previous, NODES * width, small, reduces
    yield Placed("tail", Piece("tail", size, 1, previous, shape.embedding_size))


def _first_input(size: int, channels: int, width: int, *, halved: bool) -> Piece:
    """The preprocessing of input 0, which is twice as large after a reduction cell."""
    if halved:
        return Piece("factorised_reduction", 2 * size, 2, channels, width)
    return Piece("preprocess", size, 1, channels, width)


def predict_latency(table: LatencyTable, genotype: Genotype, shape: Shape) -> float:
    """Milliseconds of an image: the sum of the table's latencies over all pieces.

    Raises RecipeError for a piece that is not in the table.
    """
    return sum(table.latencies(placed.piece for placed in pieces_of(genotype, shape))) / 1e3


def pieces_of_any(networks: Iterable["Backbone"]) -> list[Piece]:
    """All pieces that networks of the sizes of these, whatever their genotype, can be made of.

    Raises TypeError for what is no PocketNet.
    """
    found: dict[Piece, None] = {}
    for network in networks:
        if not isinstance(network, PocketNet):
            raise TypeError(f"{network.architecture} is no PocketNet")
        for placed in pieces_of(network.genotype, Shape.of(network)):
            piece = placed.piece
            if piece.operation in PRIMITIVES:
                found.update(dict.fromkeys(_primitives(piece.size, piece.stride, piece.inputs)))
            else:
                found[piece] = None
    stride_one = {(piece.size, piece.inputs) for piece in found if piece.operation == "sum"}
    for size, width in stride_one:
        found.update(dict.fromkeys(_primitives(size, 1, width)))
    return _measured(found)


def pieces_of_grid(sizes: Iterable[int], widths: Iterable[int]) -> list[Piece]:
    """All pieces of PocketNets whose maps have these sizes, with these widths of cells.

    The stem stands before the largest size, the tail behind the smallest. A stride of 2 needs an
    even size, and is measured where half of it is among the sizes.
    """
    found: dict[Piece, None] = {}
    sizes, widths = sorted(set(sizes), reverse=True), sorted(set(widths))
    for width in widths:
        wide = NODES * width
        found[Piece("stem", 2 * sizes[0], 2, 3, wide)] = None
        for size in sizes:
            found.update(dict.fromkeys(_primitives(size, 1, width)))
            found[Piece("sum", size, 1, width, width)] = None
            found[Piece("concatenation", size, 1, width, wide)] = None
            # A cell reads cells of its own width, or of half of it where the map is halved.
            for channels in (wide // 2, wide):
                found[Piece("preprocess", size, 1, channels, width)] = None
            if size % 2 == 0 and size // 2 in sizes:
                found.update(dict.fromkeys(_primitives(size, 2, width)))
                # Behind one reduction cell, or behind two.
                for channels in (wide // 4, wide // 2):
                    found[Piece("factorised_reduction", size, 2, channels, width)] = None
        for length in EMBEDDING_SIZES:
            found[Piece("tail", sizes[-1], 1, wide, length)] = None
    return _measured(found)


def _primitives(size: int, stride: int, width: int) -> list[Piece]:
    return [Piece(primitive, size, stride, width, width) for primitive in PRIMITIVES]


def _measured(pieces: Iterable[Piece]) -> list[Piece]:
    """Those that are to be measured, neighbours at one place beside each other."""
    measured = [piece for piece in pieces if not piece.free]
    return sorted(measured, key=lambda piece: (-piece.size, piece.inputs, piece.within))
