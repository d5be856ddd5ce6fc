"""Memory of batches, used again only when nobody looks at it."""

import gc
import pickle

import numpy as np
import torch

from pocketface.train.batch_memory import BatchMemory

SHAPE = (4, 2, 2, 3)


def lend(memory: BatchMemory, value: int, rows: int = 4) -> torch.Tensor:
    block = memory.take(SHAPE)
    block[:] = value
    return torch.from_numpy(memory.lend(block, rows))


def test_a_batch_that_is_held_is_never_overwritten() -> None:
    memory = BatchMemory()
    held = [lend(memory, value) for value in range(6)]
    assert [int(batch[0, 0, 0, 0]) for batch in held] == list(range(6))
    part = held[5][1:, 0]
    del held
    gc.collect()
    for value in range(100, 110):
        lend(memory, value)
    assert (part == 5).all()


def test_memory_is_used_again_when_the_batch_is_gone() -> None:
    memory = BatchMemory()
    first = lend(memory, 1)
    address = first.data_ptr()
    del first
    gc.collect()
    assert lend(memory, 2).data_ptr() == address


def test_another_shape_gets_other_memory_and_rows_are_kept() -> None:
    memory = BatchMemory()
    assert lend(memory, 1, rows=3).shape == (3, 2, 2, 3)
    assert memory.take((5, 2, 2, 3)).shape == (5, 2, 2, 3)


def test_it_travels_empty() -> None:
    memory = BatchMemory()
    lend(memory, 1)
    copy = pickle.loads(pickle.dumps(memory))
    assert isinstance(copy.take(SHAPE), np.ndarray)
