"""Measuring in turns: who comes when, when it ends, and how sure a median is."""

import itertools
import statistics
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketface.profile.latency import latency_of
from pocketface.profile.turns import (
    LEAST_TURNS,
    SETTLED,
    Run,
    Series,
    is_settled,
    median_interval,
    take_turns,
)

times = st.floats(1e-6, 10, allow_nan=False)


def turn_of(*seconds: float) -> list[Run]:
    return [Run(wall, wall / 2) for wall in seconds]


def missed(count: int, place: int) -> float:
    """How often the values of rank `place` from either end do not enclose the median: all cases.

    A value lies above the median or below it, with equal chances, like a coin.
    """
    bad = 0
    for coins in itertools.product((0, 1), repeat=count):
        below = sum(coins)  # so many values lie below the median
        bad += below <= place or count - below <= place
    return bad / 2**count


@pytest.mark.parametrize("count", range(1, 15))
def test_the_interval_misses_the_median_in_at_most_5_percent(count: int) -> None:
    low, high = median_interval([float(i) for i in range(count)])
    place = int(low)
    assert high == count - 1 - place
    if count >= LEAST_TURNS:
        assert missed(count, place) <= 0.05
        assert missed(count, place + 1) > 0.05  # and it is the narrowest of its kind
    else:
        assert place == 0
        assert missed(count, 0) > 0.05 or count == 1


@given(st.lists(times, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_the_interval_holds_the_median_whatever_the_order(values, random) -> None:
    low, high = median_interval(values)
    assert min(values) <= low <= statistics.median(values) <= high <= max(values)
    random.shuffle(values)
    assert median_interval(values) == (low, high)


def test_no_value_has_no_interval() -> None:
    with pytest.raises(ValueError, match="no values"):
        median_interval([])


def test_a_median_settles_with_enough_close_turns() -> None:
    close = [1 + 0.9 * SETTLED * sign for sign in (-1, 1, 0)] * 2
    assert is_settled(close)
    assert not is_settled(close[: LEAST_TURNS - 1])
    assert not is_settled([value * 1.5 if i % 2 else value for i, value in enumerate(close)])


def test_every_round_has_each_once_and_ends_when_all_are_settled() -> None:
    order: list[str] = []

    def taker(name: str):
        def take() -> list[Run]:
            order.append(name)
            return turn_of(1.0)

        return take

    things = {name: taker(name) for name in "abc"}
    series, stopped = take_turns(things, 1e6, np.random.default_rng(0))
    assert not stopped
    assert len(order) == 3 * LEAST_TURNS
    rounds = [tuple(order[start : start + 3]) for start in range(0, len(order), 3)]
    assert all(set(each) == set("abc") for each in rounds)
    assert len(set(rounds)) > 1  # the order is drawn
    assert Counter(map(len, (each.turns for each in series.values()))) == {LEAST_TURNS: 3}


def test_one_unsettled_thing_keeps_all_at_it_until_the_time_is_spent() -> None:
    walls = itertools.cycle((1.0, 2.0))
    now = [0.0]

    def shaky() -> list[Run]:
        now[0] += 1
        return turn_of(next(walls))

    things = {"shaky": shaky, "calm": lambda: turn_of(1.0)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pocketface.profile.turns.time.monotonic", lambda: now[0])
        told: list[tuple[float, int]] = []
        series, _ = take_turns(
            things, 10.0, np.random.default_rng(0), lambda gone, rounds: told.append((gone, rounds))
        )
    assert [len(each.turns) for each in series.values()] == [10, 10]
    assert told[-1] == (10.0, 9)


def test_without_time_there_is_one_round() -> None:
    series, _ = take_turns({"a": lambda: turn_of(1.0)}, 0.0, np.random.default_rng(0))
    assert len(series["a"].turns) == 1


def test_ctrl_c_leaves_what_is_measured() -> None:
    calls = [0]

    def interrupted() -> list[Run]:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return turn_of(1.0, 2.0)

    series, stopped = take_turns({"a": interrupted}, 1e6, np.random.default_rng(0))
    assert stopped
    assert series["a"].turns == [turn_of(1.0, 2.0)] * 2


@given(st.lists(st.lists(times, min_size=1, max_size=9), min_size=1, max_size=9), st.integers(1, 8))
def test_the_distribution_against_sorting(turns, batch) -> None:
    found = latency_of(Series([turn_of(*turn) for turn in turns]), batch)
    ordered = sorted(1e3 * wall / batch for turn in turns for wall in turn)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        below = int(place)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (place - below) * (ordered[above] - ordered[below])

    wanted = [ordered[0], at(0.05), at(0.25), at(0.5), at(0.75), at(0.95), ordered[-1]]
    got = [found.minimum, found.p5, found.p25, found.median, found.p75, found.p95, found.maximum]
    assert got == pytest.approx(wanted, rel=1e-9)
    assert found.cpu == pytest.approx(at(0.5) / 2, rel=1e-9)
    assert found.images_per_second * found.median == pytest.approx(1e3)
    assert (found.runs, found.turns) == (len(ordered), len(turns))
    assert found.median_low <= found.median <= found.median_high


def test_nothing_run_has_no_latency() -> None:
    with pytest.raises(ValueError, match="nothing"):
        latency_of(Series(), 1)
