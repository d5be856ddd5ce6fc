"""All probes against all distractors, in blocks, keeping only what can matter.

A block of distractors is compared in float32 by one matrix product, whose error is bounded; what
could reach a floor in spite of that error is compared again in float64 (`similarity`), and what
does reach it is handed to the keepers. So the figures are those of float64, at the price of a
float32 product.

Shapes: P probes, M distractors, D numbers of an embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.megaface.similarity import chunks, similarities
from pocketface.embedding.embedder import Progress
from pocketface.embedding.unit import unit
from pocketface.errors import WeightsError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_PROBES_AT_ONCE = 4096
_DISTRACTORS_AT_ONCE = 2048
"""The product of such blocks is as fast as that of larger ones, and its result 32 MB."""

_FIRST_BLOCK = 16
_SCORES_AT_ONCE = 1 << 20
"""Scores that are looked through for candidates at once: all may be some, at first or in a tie."""

_SETTLE_AT = 32_768
"""Candidates that are collected before they are handed over."""


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

        Raises WeightsError for a distractor that is zero or not finite.
        """
        tile = min(_PROBES_AT_ONCE, len(self._probes)) * min(_DISTRACTORS_AT_ONCE, len(chosen))
        buffer = np.empty(tile, np.float32)
        start = 0
        while start < len(chosen):
            # Small blocks first: until there are floors, everything is a candidate.
            size = min(_DISTRACTORS_AT_ONCE, max(_FIRST_BLOCK, start))
            columns = chosen[start : start + size]
            self._compare(columns, buffer)
            start += len(columns)
            if progress is not None:
                progress(start, len(chosen))
        self._settle()

    def _compare(self, columns: Ints, buffer: npt.NDArray[np.float32]) -> None:
        directions = self._directions(columns)
        block = directions.astype(np.float32)
        for first in range(0, len(self._probes), _PROBES_AT_ONCE):
            probes = self._columns[:, first : first + _PROBES_AT_ONCE]
            scores = buffer[: len(block) * probes.shape[1]].reshape(len(block), -1)
            np.matmul(block, probes, out=scores)
            # One pass over all scores; the few probes that have a candidate are looked at again.
            floor = self._single_floor[first : first + probes.shape[1]]
            found = np.flatnonzero(scores.max(axis=0) >= floor)
            if len(found):
                self._look_again(scores, found, first, directions, columns)

    def _look_again(
        self,
        scores: npt.NDArray[np.float32],
        found: Ints,
        first: int,
        directions: Floats,
        columns: Ints,
    ) -> None:
        """Compare exactly what may reach a floor, of the probes `found` behind the `first`."""
        probes = scores.shape[1]
        if 4 * len(found) > probes:
            found = np.arange(probes)
        rows = max(1, _SCORES_AT_ONCE // len(found))
        for top in range(0, len(scores), rows):
            part = scores[top : top + rows]
            if len(found) < probes:
                part = part.take(found, axis=1)
            # Far quicker than `nonzero` in two dimensions where little is found.
            place = np.flatnonzero(part >= self._single_floor[first + found])
            row, probe = place // len(found) + top, found[place % len(found)] + first
            exact = np.empty(len(row))
            for piece in chunks(len(row), directions.shape[1]):
                exact[piece] = similarities(self._probes[probe[piece]], directions[row[piece]])
            kept = exact >= self._floor[probe]
            self._pending.append((probe[kept], columns[row[kept]], exact[kept]))
            self._pending_count += int(kept.sum())
            if self._pending_count >= _SETTLE_AT:
                self._settle()

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
        self._single_floor = np.nextafter((floor - self._error).astype(np.float32), -np.inf)


def _rows(features: npt.NDArray[np.floating], columns: Ints) -> npt.NDArray[np.floating]:
    """The named rows; a run of neighbours is read in one piece, which a memory map likes."""
    first, last = int(columns[0]), int(columns[-1])
    if last - first == len(columns) - 1 and np.array_equal(columns, np.arange(first, last + 1)):
        return features[first : last + 1]
    return features[columns]
