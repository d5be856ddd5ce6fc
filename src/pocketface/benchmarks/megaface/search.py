"""All probes against all distractors, in blocks, keeping only what can matter.

A block of distractors is compared in float32 by one matrix product, whose error is bounded; what
could reach a floor in spite of that error is compared again in float64 (`similarity`), and what
does reach it is handed to the keepers. So the figures are those of float64, at the price of a
float32 product.

Shapes: P probes, M distractors, D numbers of an embedding.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.blas import blas_threads, one_blas_thread
from pocketface.benchmarks.megaface.similarity import chunks, similarities
from pocketface.embedding.embedder import Progress
from pocketface.embedding.unit import quick_products, unit
from pocketface.errors import WeightsError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_SCORES_AT_ONCE = 1 << 23
"""Scores of one block: its product is as fast as that of larger ones, and takes 32 MB."""

_SCORES_IN_ALL = 1 << 25
"""Scores of all blocks that are under way: with many threads each block is smaller."""

_ROWS = 64
"""Neighbouring distractors of which the highest score is looked at first."""

_FIRST_BLOCK = 16
_SETTLE_AT = 32_768
_SETTLE_PER_PROBE = 8
"""Candidates that are collected before they are handed over, which raises the floors."""


class Keeper(Protocol):
    """Takes in comparisons and says which further ones it could still need."""

    def floors(self) -> Floats:
        """float64 (P,): what is below a probe's floor changes nothing."""
        ...

    def keep(self, probe: Ints, distractor: Ints, similarity: Floats) -> None:
        """Take in comparisons (N,) of its own probes, numbered by itself."""
        ...


@dataclass(frozen=True)
class Observer:
    """A keeper and the part of all comparisons that it sees.

    Attributes:
        keeper: it.
        rows: int64 (P',), the row among all probes of each probe of the keeper.
        ignored: bool (M,), distractors that it does not see; None for none.
    """

    keeper: Keeper
    rows: Ints
    ignored: Bools | None = None


class _Found(NamedTuple):
    """What of a block may matter.

    Attributes:
        compared: how many distractors the block has.
        probe: int64 (K,), rows of probes.
        distractor: int64 (K,), which distractors they were compared with.
        similarity: float64 (K,).
    """

    compared: int
    probe: Ints
    distractor: Ints
    similarity: Floats


class Search:
    """Compares probes with distractors and hands to each observer what it may need.

    Args:
        probes: float64 (P, D), unit vectors.
        distractors: float16, float32 or float64 (M, D), not normalised; may be a memory map.
        observers: who keeps what.
        names: of the distractors, for messages; None calls them by their numbers.
    """

    def __init__(
        self,
        probes: Floats,
        distractors: npt.NDArray[np.floating],
        observers: Sequence[Observer],
        names: Sequence[str] | None = None,
    ) -> None:
        self._probes = probes
        self._columns = np.ascontiguousarray(probes.T, np.float32)
        self._distractors = distractors
        self._names = names
        self._observers = observers
        self._places = []
        for observer in observers:
            place = np.full(len(probes), -1)
            place[observer.rows] = np.arange(len(observer.rows))
            self._places.append(place)
        # Rounding of both vectors to float32 and of D products and sums; unit vectors.
        self._error = (probes.shape[1] + 8) * 2.0**-24
        self._floor: Floats = np.empty(0)
        self._single_floor: npt.NDArray[np.float32] = np.empty(0, np.float32)
        self._refresh()
        self._pending: list[tuple[Ints, Ints, Floats]] = []
        self._pending_count = 0

    def run(self, chosen: Ints, progress: Progress | None = None) -> None:
        """Compare all probes with the distractors `chosen`, int64 (N,), each named once.

        As many blocks are under way at a time as the BLAS may use threads, each on one thread: the
        threads of one product would wait for each other, and for the scan of its scores.

        Raises WeightsError for a distractor that is zero or not finite.
        """
        workers = blas_threads()
        blocks = _cuts(chosen, len(self._probes), workers)
        largest = max(len(columns) for columns in blocks)
        buffers: SimpleQueue[npt.NDArray[np.float32]] = SimpleQueue()
        for _ in range(workers):
            buffers.put(np.empty((largest + _ROWS - 1) * len(self._probes), np.float32))
        done = 0
        under_way: deque[Future[_Found]] = deque()

        def take_in_all_but(left: int) -> None:
            nonlocal done
            while len(under_way) > left:
                done += self._take_in(under_way.popleft().result())
                if progress is not None:
                    progress(done, len(chosen))

        with one_blas_thread(), ThreadPoolExecutor(workers) as pool:
            for columns in blocks:
                under_way.append(pool.submit(self._compare, columns, buffers))
                # The first, small blocks raise the floors for the others: one after the other.
                take_in_all_but(workers - 1 if len(columns) == largest else 0)
            take_in_all_but(0)
        self._settle()

    def _compare(self, columns: Ints, buffers: "SimpleQueue[npt.NDArray[np.float32]]") -> _Found:
        """What of a block reaches the floors as they are when its product is done."""
        directions = self._directions(columns)
        rows = -(-len(columns) // _ROWS) * _ROWS
        buffer = buffers.get()
        try:
            scores = buffer[: rows * len(self._probes)].reshape(rows, -1)
            quick_products(directions.astype(np.float32), self._columns, scores[: len(columns)])
            scores[len(columns) :] = -np.inf
            row, probe = self._candidates(scores)
        finally:
            buffers.put(buffer)
        exact = np.empty(len(row))
        for part in chunks(len(row), self._probes.shape[1]):
            exact[part] = similarities(self._probes[probe[part]], directions[row[part]])
        kept = exact >= self._floor[probe]
        return _Found(len(columns), probe[kept], columns[row[kept]], exact[kept])

    def _take_in(self, found: _Found) -> int:
        """Collect what a block gave; its number of distractors."""
        self._pending.append((found.probe, found.distractor, found.similarity))
        self._pending_count += len(found.probe)
        if self._pending_count >= min(_SETTLE_AT, _SETTLE_PER_PROBE * len(self._probes)):
            self._settle()
        return found.compared

    def _candidates(self, scores: npt.NDArray[np.float32]) -> tuple[Ints, Ints]:
        """Rows and probes of the scores that may reach a floor."""
        floor = self._single_floor  # One of them throughout: the blocks beside this may raise it.
        probes = scores.shape[1]
        by_rows = scores.reshape(-1, _ROWS, probes)
        # One quick pass over all scores; few of the pieces hold a candidate, once there are floors.
        found = np.flatnonzero(by_rows.max(axis=1) >= floor)
        if 8 * len(found) > len(by_rows) * probes:
            place = np.flatnonzero(scores >= floor)
            return place // probes, place % probes
        piece, probe = found // probes, found % probes
        place = np.flatnonzero(by_rows[piece, :, probe] >= floor[probe, None])
        hit = place // _ROWS
        return piece[hit] * _ROWS + place % _ROWS, probe[hit]

    def _directions(self, columns: Ints) -> Floats:
        """Unit vectors of the distractors `columns`, float64; raises WeightsError."""
        rows = _rows(self._distractors, columns)
        try:
            return unit(rows)
        except WeightsError:
            names = self._names
            return unit(
                rows,
                [f"distractor {i}" if names is None else names[i] for i in columns.tolist()],
            )

    def _settle(self) -> None:
        """Hand what was found to the observers, and look up their floors again."""
        if not self._pending_count:
            return
        probe, distractor, exact = (
            np.concatenate(parts) for parts in zip(*self._pending, strict=True)
        )
        self._pending, self._pending_count = [], 0
        for observer, place in zip(self._observers, self._places, strict=True):
            own = place[probe]
            seen = own >= 0
            if observer.ignored is not None:
                seen &= ~observer.ignored[distractor]
            seen[seen] = exact[seen] >= observer.keeper.floors()[own[seen]]
            if seen.any():
                observer.keeper.keep(own[seen], distractor[seen], exact[seen])
        self._refresh()

    def _refresh(self) -> None:
        """Bring together the observers' floors, and widen them by the error of float32."""
        floor = np.full(len(self._probes), np.inf)
        for observer in self._observers:
            floor[observer.rows] = np.minimum(floor[observer.rows], observer.keeper.floors())
        self._floor = floor
        single = np.nextafter((floor - self._error).astype(np.float32), -np.inf)
        # Below every similarity, and yet above what fills up a block.
        self._single_floor = np.maximum(single, np.float32(-2))


def _cuts(chosen: Ints, probes: int, workers: int) -> list[Ints]:
    """The distractors of each block: few at first, since without floors all are candidates."""
    scores = min(_SCORES_AT_ONCE, _SCORES_IN_ALL // workers)
    most = max(_ROWS, scores // probes // _ROWS * _ROWS)
    blocks, start = [], 0
    while start < len(chosen):
        size = min(most, max(_FIRST_BLOCK, start))
        blocks.append(chosen[start : start + size])
        start += size
    return blocks


def _rows(features: npt.NDArray[np.floating], columns: Ints) -> npt.NDArray[np.floating]:
    """The named rows; a run of neighbours is read in one piece, which a memory map likes."""
    first, last = int(columns[0]), int(columns[-1])
    if last - first == len(columns) - 1 and np.array_equal(columns, np.arange(first, last + 1)):
        return features[first : last + 1]
    return features[columns]
