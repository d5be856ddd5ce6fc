"""Which classes take part in a step: always those that are shown, the others evenly, each once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.heads.sampling import NegativeSampler
from pocketface.heads.shard import Shard, shard_of

BLOCK = 16


def sampler(share: float = 0.3, seed: int = 1) -> NegativeSampler:
    return NegativeSampler(share, seed, BLOCK)


def wanted(classes: int, share: float, shown: np.ndarray) -> int:
    """How many take part: block by block the share, or the shown ones if they are more."""
    total = 0
    for start in range(0, classes, BLOCK):
        size = min(BLOCK, classes - start)
        here = int(((shown >= start) & (shown < start + size)).sum())
        total += max(here, round(share * size))
    return total


@settings(deadline=None, max_examples=200)
@given(
    classes=st.integers(1, 100),
    share=st.floats(0.01, 1),
    processes=st.integers(1, 9),
    step=st.integers(0, 10**6),
    data=st.data(),
)
def test_shown_classes_always_others_once_and_the_same_for_any_processes(
    classes, share, processes, step, data
):
    numbers = data.draw(st.sets(st.integers(0, classes - 1)))
    shown = np.array(sorted(numbers), np.int64)
    whole = sampler(share).draw(Shard(classes, 0, classes), shown, step)
    assert len(np.unique(whole)) == len(whole) == wanted(classes, share, shown)
    assert (np.diff(whole) > 0).all()
    assert set(shown) <= set(whole) <= set(range(classes))
    parts = [
        sampler(share).draw(shard_of(classes, number, processes), shown, step)
        for number in range(processes)
    ]
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_the_whole_share_takes_all():
    drawn = sampler(1.0).draw(Shard(50, 7, 41), np.array([9]), 3)
    assert drawn.tolist() == list(range(7, 41))


def test_a_shown_class_beyond_a_cut_changes_what_is_drawn_on_this_side():
    """A process that holds half a block must know of the other half, or the draws would differ."""
    shard = Shard(BLOCK, 0, BLOCK // 2)
    beyond = np.arange(BLOCK // 2, BLOCK // 2 + 5)
    assert len(sampler(0.3).draw(shard, beyond, 0)) == 0  # five are a third already
    assert len(sampler(0.3).draw(shard, np.empty(0, np.int64), 0)) > 0


@pytest.mark.parametrize("shown", [[], [0, 1, 2, 17]])
def test_others_are_drawn_evenly(shown):
    """4,000 draws of a share of 0.3: each other class as often, and each pair of a block too."""
    classes, draws = 3 * BLOCK + 5, 4000
    taken = np.zeros((draws, classes), bool)
    for step in range(draws):
        numbers = np.array(shown, np.int64)
        taken[step, sampler().draw(Shard(classes, 0, classes), numbers, step)] = True
    for start in range(0, classes, BLOCK):
        block = [each for each in range(start, min(start + BLOCK, classes)) if each not in shown]
        size = min(BLOCK, classes - start)
        left = round(0.3 * size) - sum(start <= each < start + size for each in shown)
        chance = left / len(block)
        error = 5 * np.sqrt(chance * (1 - chance) / draws) + 1e-9
        assert np.abs(taken[:, block].mean(0) - chance).max() < error
        pair = chance * (left - 1) / (len(block) - 1)
        both = (taken[:, block[0]] & taken[:, block[1:]].T).mean(1)
        assert np.abs(both - pair).max() < 5 * np.sqrt(pair * (1 - pair) / draws) + 1e-9


def test_seed_step_and_block_decide():
    classes = 40 * BLOCK
    shown = np.empty(0, np.int64)

    def draw(seed: int, step: int) -> list[int]:
        return sampler(seed=seed).draw(Shard(classes, 0, classes), shown, step).tolist()

    assert draw(1, 2) == draw(1, 2)
    assert draw(1, 2) != draw(1, 3)
    assert draw(1, 2) != draw(2, 2)
    first, second = (np.array(draw(1, 2)) for _ in range(2))
    blocks = [(first[first // BLOCK == each] % BLOCK).tolist() for each in range(40)]
    assert len({tuple(block) for block in blocks}) > 30
    assert (first == second).all()


def test_a_share_out_of_range_is_named():
    for share in (0.0, -1.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"sample must be a float in \(0, 1\]"):
            NegativeSampler(share, 0)
