"""Measuring several things in turns, so that what else the machine does meets them all.

A turn of each after the other is a round. Rounds go on until every median is settled or the time
is spent. Runs within a turn are not independent of each other: whatever disturbs one disturbs its
neighbours. So how sure a median is, is told from the medians of the turns.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import comb
from typing import NamedTuple

import numpy as np

SETTLED = 0.02
"""Half the width of the interval, as a part of the median, at which a median counts as settled."""

LEAST_TURNS = 6
"""With fewer turns no interval of theirs holds the median with 95 %."""

_CONFIDENCE = 0.95


class Run(NamedTuple):
    """One run: seconds on the clock, and of the processor (all threads together)."""

    wall: float
    cpu: float


Turn = Callable[[], Sequence[Run]]
"""Runs something a few times."""

Tell = Callable[[float, int], None]
"""Told the seconds gone by and the rounds done."""


@dataclass
class Series:
    """The runs of one thing, turn by turn."""

    turns: list[Sequence[Run]] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        """Whether more turns would hardly move the median of the times on the clock."""
        return is_settled([statistics.median(run.wall for run in turn) for turn in self.turns])


def take_turns(
    things: Mapping[str, Turn],
    seconds: float,
    generator: np.random.Generator,
    tell: Tell | None = None,
) -> tuple[dict[str, Series], bool]:
    """Measure `things` in rounds for at most `seconds`; gives their runs, and whether it was cut.

    The order within a round is drawn. There is at least one round, however long it takes. Ctrl-C
    ends the measuring and not the program: then the second answer is True, and things may lack
    turns.
    """
    series = {name: Series() for name in things}
    begin, rounds = time.monotonic(), 0
    try:
        while rounds == 0 or time.monotonic() - begin < seconds:
            for name in generator.permutation(list(things)):
                series[name].turns.append(things[name]())
                if tell is not None:
                    tell(time.monotonic() - begin, rounds)
            rounds += 1
            if all(each.settled for each in series.values()):
                break
    except KeyboardInterrupt:
        return series, True
    return series, False


def is_settled(medians: Sequence[float]) -> bool:
    """Whether the median of these medians of turns is known to within `SETTLED` of itself."""
    if len(medians) < LEAST_TURNS:
        return False
    low, high = median_interval(medians)
    return high - low <= 2 * SETTLED * statistics.median(medians)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an interval that holds the true median with at least 95 %, whatever the spread.

    Its ends are the values of rank k from below and from above, with the largest k for which at
    most 2.5 % of throws of n fair coins show fewer than k heads. Fewer than six values give their
    range, which holds it less often. Raises ValueError for no value.
    """
    if not values:
        raise ValueError("no values, no median")
    ordered = sorted(values)
    tail, place = 0.0, 0
    for rank in range(len(ordered) // 2):
        tail += comb(len(ordered), rank) / 2 ** len(ordered)
        if 2 * tail > 1 - _CONFIDENCE:
            break
        place = rank
    return ordered[place], ordered[-1 - place]
