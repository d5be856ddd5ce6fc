"""Which of a teacher's checkpoints guides which epoch of a student."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pocketface.distill import FaceBatch, MultiStepTeacher, Outputs, Teacher
from pocketface.distill.teacher import milestone_of
from pocketface.errors import RecipeError


class Constant(Teacher):
    """A teacher whose every embedding is its own number."""

    embedding_size = 2

    def __init__(self, number: int) -> None:
        self.number = number

    def targets(self, batch: FaceBatch) -> Outputs:
        return Outputs(torch.full((len(batch.labels), 2), float(self.number)))


def faces(count: int = 3) -> FaceBatch:
    zeros = torch.zeros(count, dtype=torch.int64)
    images = torch.zeros(count, 16, 16, 3, dtype=torch.uint8)
    return FaceBatch(images, zeros, zeros, zeros.bool())


@given(epochs=st.integers(1, 60))
def test_equal_counts_go_hand_in_hand(epochs):
    assert [milestone_of(e, epochs, epochs) for e in range(epochs)] == list(range(epochs))


@given(epochs=st.integers(1, 60), steps=st.integers(1, 60))
def test_other_counts_go_in_proportion_and_end_with_the_last(epochs, steps):
    chosen = [milestone_of(e, epochs, steps) for e in range(epochs)]
    assert chosen == sorted(chosen)
    assert chosen[0] >= 0
    assert chosen[-1] == steps - 1
    for epoch, milestone in enumerate(chosen):
        # The first checkpoint that has made at least the student's share of its way.
        share = Fraction(epoch + 1, epochs)
        first = next(k for k in range(steps) if Fraction(k + 1, steps) >= share)
        assert milestone == first
    if epochs >= steps:
        assert set(chosen) == set(range(steps))


def test_the_proportion_in_numbers():
    assert [milestone_of(e, 6, 3) for e in range(6)] == [0, 0, 1, 1, 2, 2]
    assert [milestone_of(e, 3, 6) for e in range(3)] == [1, 3, 5]
    assert [milestone_of(e, 4, 3) for e in range(4)] == [0, 1, 2, 2]
    assert [milestone_of(e, 5, 1) for e in range(5)] == [0] * 5


@pytest.mark.parametrize(
    ("epoch", "epochs", "steps"), [(-1, 3, 3), (3, 3, 3), (0, 0, 3), (0, 3, 0)]
)
def test_positions_out_of_range_are_refused(epoch, epochs, steps):
    with pytest.raises(ValueError, match=f"Got epoch {epoch} of {epochs}, {steps} steps"):
        milestone_of(epoch, epochs, steps)


def test_each_epoch_is_taught_by_its_checkpoint_and_only_one_is_open():
    opened: list[int] = []

    def opener(number: int):
        def open_it() -> Teacher:
            opened.append(number)
            return Constant(number)

        return open_it

    teacher = MultiStepTeacher([opener(n) for n in range(3)], embedding_size=2)
    assert opened == []
    seen = []
    for epoch in range(5):
        teacher.at_epoch(epoch, 5)
        seen.append(int(teacher.targets(faces()).embeddings[0, 0]))
    assert seen == [math.ceil((e + 1) * 3 / 5) - 1 for e in range(5)]
    assert opened == [0, 1, 2]


def test_a_resumed_student_is_taught_by_the_same_checkpoint():
    teacher = MultiStepTeacher([lambda n=n: Constant(n) for n in range(4)], embedding_size=2)
    teacher.at_epoch(2, 4)
    assert teacher.targets(faces()).embeddings.unique().tolist() == [2.0]


def test_targets_before_the_first_epoch_are_a_mistake():
    teacher = MultiStepTeacher([lambda: Constant(0)], embedding_size=2)
    with pytest.raises(ValueError, match="at_epoch"):
        teacher.targets(faces())


def test_no_checkpoint_at_all_is_refused():
    with pytest.raises(RecipeError, match="at least one teacher"):
        MultiStepTeacher([], embedding_size=2)
