"""Measuring the table of latencies that a search spends from."""

import datetime
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch

import pocketface
from pocketface.errors import RecipeError
from pocketface.profile.ladder import ladder_onnx, times_in_ladder
from pocketface.profile.latency_table import Entry, LatencyTable, Piece
from pocketface.profile.machine import describe_machine, load
from pocketface.profile.runtimes import (
    TORCH,
    Execute,
    check_runtime,
    open_network,
    runtime_version,
)
from pocketface.profile.turns import LEAST_TURNS, Run, median_interval
from pocketface.profile.worker import Job, draw_images, take_turn

_TURN_SECONDS = 0.01
_LEAST_RUNS = 3
_SETTLED = 0.05
"""Half the width of an interval, as a part of the latency, at which it counts as settled."""

_FINE = 0.5
"""Microseconds that are settled in any case: less than calling an operation takes."""

Tell = Callable[[int, int], None]
"""Told the numbers of pieces measured and of all pieces."""

Timer = Callable[[Piece, float], Sequence[float]]
"""Times a piece for some seconds: differences, in microseconds, one for each pair of turns."""


class Device(NamedTuple):
    """The runtime and the number of threads that a table is for."""

    runtime: str
    threads: int

    @property
    def clock(self) -> Literal["cpu", "wall"]:
        """One thread's processor time is its own; what several took tells no latency."""
        return "cpu" if self.threads == 1 else "wall"


def begin_table(device: Device) -> LatencyTable:
    """An empty table for this machine.

    Raises RecipeError for a runtime that runs no exported file, and for fewer than one thread;
    MissingExtraError for one that is not installed.
    """
    check_runtime(device.runtime)
    if device.runtime == TORCH:
        raise RecipeError("torch runs no exported file; measure primitives in another runtime.")
    if device.threads < 1:
        raise RecipeError(f"threads must be at least 1, got {device.threads}.")
    return LatencyTable.model_validate(
        {
            "version": pocketface.__version__,
            "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "machine": describe_machine(),
            "load": load(),
            "runtime": device.runtime,
            "runtime_version": runtime_version(device.runtime),
            "threads": device.threads,
            "clock": device.clock,
            "entries": (),
        }
    )


def continue_table(table: LatencyTable, device: Device) -> LatencyTable:
    """An older table to which entries may be added.

    Raises RecipeError where it was measured on another machine, or in another way.
    """
    fresh = begin_table(device)
    for name in ("machine", "runtime", "runtime_version", "threads"):
        old, new = getattr(table, name), getattr(fresh, name)
        if old != new:
            raise RecipeError(
                f"the table that is there was measured with another {name.replace('_', ' ')}: "
                f"{old}, now {new}. Choose another file, or add --overwrite."
            )
    return table


def measure_pieces(
    pieces: Sequence[Piece],
    time_piece: Timer,
    seconds: float,
    add: Callable[[Entry], None],
    tell: Tell,
) -> bool:
    """Time `pieces`, about `seconds` each, and hand over an entry for each.

    Ctrl-C ends it between two entries; the answer is whether it did.
    """
    try:
        for place, piece in enumerate(pieces):
            tell(place, len(pieces))
            add(entry_of(piece, time_piece(piece, seconds)))
    except KeyboardInterrupt:
        return True
    tell(len(pieces), len(pieces))
    return False


def entry_of(piece: Piece, differences: Sequence[float]) -> Entry:
    """The entry of `piece` from its differences, in microseconds; ValueError if there is none.

    A difference may come out below zero where a piece takes next to nothing; a latency may not.
    """
    low, high = median_interval(differences)
    return Entry.model_validate(
        {
            **piece._asdict(),
            "microseconds": max(0.0, statistics.median(differences)),
            "low": low,
            "high": high,
        }
    )


class LadderTimer:
    """Times pieces by ladders, in this process; bare ladders are kept from piece to piece."""

    def __init__(self, device: Device, generator: torch.Generator) -> None:
        self.device = device
        self.generator = generator
        self._bare: tuple[tuple[int, int, bool], Execute] | None = None

    def __call__(self, piece: Piece, seconds: float) -> list[float]:
        """Differences of a turn with the piece and one without, over the piece's number."""
        place = (piece.size, piece.inputs, piece.within)
        if self._bare is None or self._bare[0] != place:
            self._bare = (place, self._open(piece, bare=True))
        bare, laden = self._bare[1], self._open(piece)
        scale = 1e6 / times_in_ladder(piece)
        differences: list[float] = []
        end = time.perf_counter() + seconds
        while len(differences) < LEAST_TURNS or time.perf_counter() < end:
            difference = self._turn(laden) - self._turn(bare)
            differences.append(scale * difference)
            if _is_settled(differences):
                break
        return differences

    def _turn(self, execute: Execute) -> float:
        runs: list[Run] = take_turn(execute, _TURN_SECONDS, _LEAST_RUNS)
        return statistics.median(
            run.cpu if self.device.clock == "cpu" else run.wall for run in runs
        )

    def _open(self, piece: Piece, *, bare: bool = False) -> Execute:
        job = Job(
            runtime=self.device.runtime,
            file=Path("ladder.onnx"),
            shape=(1, 3, piece.size, piece.size),
            threads=self.device.threads,
        )
        content = ladder_onnx(piece, self.generator, bare=bare)
        return open_network(self.device.runtime, content, draw_images(job), self.device.threads)


def _is_settled(differences: Sequence[float]) -> bool:
    if len(differences) < LEAST_TURNS:
        return False
    low, high = median_interval(differences)
    return high - low <= 2 * max(_SETTLED * statistics.median(differences), _FINE)
