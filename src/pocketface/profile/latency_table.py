"""What each operation of a PocketNet takes on one machine: the table that a search spends from.

`pocketface profile --primitives DEVICE.json` measures it, `read_latency_table` reads it back.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pocketface import atomic
from pocketface.errors import RecipeError
from pocketface.profile.machine import Machine

Operation = Literal[
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "dw_conv_3x3",
    "dw_conv_5x5",
    "dw_conv_7x7",
    "dw_conv_1x1",
    "none",
    "preprocess",
    "factorised_reduction",
    "sum",
    "concatenation",
    "stem",
    "tail",
]
"""The search space's eight primitives, then what every PocketNet has beside them.

preprocess: PReLU, 1x1 convolutions and batch norm at a cell's input; factorised_reduction: the same
where the input is twice as large; sum: a node's addition of its two edges; concatenation: of a
cell's four nodes.
"""

OPERATIONS: tuple[str, ...] = get_args(Operation)


class Piece(NamedTuple):
    """An operation at one place: what a table is asked for.

    Attributes:
        operation: one of `OPERATIONS`.
        size: height and width of the map (for the stem, of the image) that it reads, in pixels.
        stride: 1, or 2 where it halves the map.
        inputs: channels of the map that it reads; of a concatenation, of each of its four maps.
        outputs: channels that it gives; of the tail, the length of the embedding.
    """

    operation: str
    size: int
    stride: int
    inputs: int
    outputs: int

    def __str__(self) -> str:
        halved = ", stride 2" if self.stride == 2 else ""
        return (
            f"{self.operation} at {self.size} px, {self.inputs} to {self.outputs} channels{halved}"
        )

    @property
    def within(self) -> bool:
        """Whether it stands between a cell's inputs and its end."""
        return self.operation in (*OPERATIONS[:8], "sum", "concatenation")

    @property
    def free(self) -> bool:
        """Whether it is nothing at all: `none`, or a skip that hands its input on."""
        return self.operation == "none" or (self.operation == "skip_connect" and self.stride == 1)


class Entry(BaseModel):
    """The latency of one piece, as exported: its marginal cost inside a network.

    Attributes:
        microseconds: for one image; not below 0.
        low, high: ends of a 95 % interval, which may lie below 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    operation: Operation
    size: int = Field(gt=0)
    stride: Literal[1, 2]
    inputs: int = Field(gt=0)
    outputs: int = Field(gt=0)
    microseconds: float = Field(ge=0, allow_inf_nan=False)
    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)

    @property
    def piece(self) -> Piece:
        """What was measured."""
        return Piece(self.operation, self.size, self.stride, self.inputs, self.outputs)


class LatencyTable(BaseModel):
    """Latencies of pieces in one runtime on one machine, one image at a time.

    Attributes:
        clock: 'cpu' is the processor's time, which other programs do not lengthen: taken with one
            thread. 'wall' is the time on the clock.
        load: programs that ran or waited before the measuring.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["latency_table"] = "latency_table"
    format: Literal[1] = 1
    version: str
    created: str
    machine: Machine
    load: float | None
    runtime: str
    runtime_version: str
    threads: int = Field(gt=0)
    clock: Literal["cpu", "wall"]
    entries: tuple[Entry, ...]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        pieces = [entry.piece for entry in self.entries]
        if len(set(pieces)) < len(pieces):
            twice = next(piece for piece in pieces if pieces.count(piece) > 1)
            raise ValueError(f"{twice} stands in it twice")
        return self

    @property
    def microseconds(self) -> dict[Piece, float]:
        """The latency of each piece that was measured."""
        return {entry.piece: entry.microseconds for entry in self.entries}

    def latencies(self, pieces: Iterable[Piece]) -> list[float]:
        """Microseconds of each of `pieces`.

        Raises RecipeError for the first that is not in the table, and says how to measure it.
        """
        known = self.microseconds
        found = []
        for piece in pieces:
            if not piece.free and piece not in known:
                raise RecipeError(_missing(piece, known))
            found.append(0.0 if piece.free else known[piece])
        return found

    def summary(self) -> str:
        """What the table was measured with, for people."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return (
            f"{len(self.entries)} entries; {self.runtime} {self.runtime_version}, {threads}; "
            f"{self.machine}"
        )


def read_latency_table(path: Path) -> LatencyTable:
    """Read a table that `write_latency_table` wrote.

    Raises RecipeError that names the file, and what is wrong in it, for anything else.
    """
    again = "Measure one with: pocketface profile --primitives DEVICE.json"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}. {again}") from error
    try:
        return LatencyTable.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the file"
        raise RecipeError(
            f"{path} is no latency table: {where}: {fault['msg']}. {again}"
        ) from error


def write_latency_table(path: Path, table: LatencyTable) -> None:
    """Write `table` to `path`, whole or not at all."""
    atomic.write_text(path, table.model_dump_json(indent=1) + "\n")


def _missing(piece: Piece, known: Iterable[Piece]) -> str:
    alike = sorted({(each.size, each.inputs) for each in known if each[0] == piece.operation})
    has = ", ".join(f"{size} px with {width}" for size, width in alike[:8]) or "nothing"
    more = " and more" if len(alike) > 8 else ""
    return (
        f"The latency table has no {piece}; of {piece.operation} it has {has}{more}. "
        "Measure what is missing into the same file: pocketface profile --primitives DEVICE.json "
        "with the network's name, or with --sizes and --widths."
    )
