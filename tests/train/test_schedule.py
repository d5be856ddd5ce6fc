"""Learning rates in numbers."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketface.train.schedule import CosineSchedule, OptimiserConfig, StepSchedule, learning_rate


def rate(schedule, progress: float, *, epochs: int = 10, batch: int = 512, **optimiser) -> float:
    return learning_rate(
        OptimiserConfig(**optimiser), schedule, progress=progress, epochs=epochs, global_batch=batch
    )


@pytest.mark.parametrize(
    ("batch", "expected"), [(512, 0.1), (256, 0.05), (128, 0.025), (1024, 0.2)]
)
def test_the_rate_follows_the_global_batch(batch, expected):
    assert rate(StepSchedule(), 0, epochs=26, batch=batch) == pytest.approx(expected)


def test_steps_fall_at_the_start_of_their_epochs():
    schedule = StepSchedule(milestones=(2, 5), factor=0.1)
    seen = [rate(schedule, p) for p in (0, 1.99, 2, 4.99, 5, 9.99)]
    assert seen == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_cosine_in_numbers():
    schedule = CosineSchedule(kind="cosine")
    seen = [rate(schedule, p) for p in (0, 2.5, 5, 7.5, 10)]
    middle = 0.1 * (1 + math.cos(math.pi / 4)) / 2
    assert seen == pytest.approx([0.1, middle, 0.05, 0.1 - middle, 0.0])


def test_cosine_ends_at_its_floor():
    schedule = CosineSchedule(kind="cosine", floor=0.25)
    assert [rate(schedule, p) for p in (0, 5, 10)] == pytest.approx([0.1, 0.0625, 0.025])


def test_warm_up_rises_from_nothing_and_the_cosine_begins_after_it():
    schedule = CosineSchedule(kind="cosine", warm_up_epochs=2)
    assert [rate(schedule, p) for p in (0, 0.5, 1, 2, 6, 10)] == pytest.approx(
        [0, 0.025, 0.05, 0.1, 0.05, 0]
    )
    step = StepSchedule(milestones=(5,), warm_up_epochs=2)
    assert [rate(step, p) for p in (1, 2, 4.9, 5)] == pytest.approx([0.05, 0.1, 0.1, 0.01])


@given(
    progress=st.lists(st.floats(0, 10), min_size=2, max_size=5).map(sorted),
    floor=st.floats(0, 1),
)
def test_without_warm_up_the_rate_never_rises(progress, floor):
    for schedule in (CosineSchedule(kind="cosine", floor=floor), StepSchedule(milestones=(3, 7))):
        seen = [rate(schedule, p) for p in progress]
        assert all(after <= before + 1e-15 for before, after in itertools.pairwise(seen))
        assert max(seen) <= 0.1 + 1e-15
