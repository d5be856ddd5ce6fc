"""Which classes a process holds, and the way of their numbers between one process and all.

Shapes: D numbers of an embedding, C classes, c of them in this process. The whole is `kernel`
(D, C), the published layout; a process holds its centres as rows (c, D), so that a sampled centre
is a piece of memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from pocketface.parallel import rank, world_size

_BLOCK = 2**22
"""How many numbers are drawn, or sent to the first process, at a time: 16 MiB in float32. A
multiple of 16; see `draw_rows`."""


@dataclass(frozen=True)
class Shard:
    """The classes `first` to `end` (exclusive) of `classes`, contiguous, that a process holds."""

    classes: int
    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first


def shard_of(classes: int, number: int, processes: int) -> Shard:
    """The shard of process `number`; those of all are as even as can be, and may be empty."""
    first, end = (classes * each // processes for each in (number, number + 1))
    return Shard(classes, first, end)


def own_shard(classes: int) -> Shard:
    """The shard of this process."""
    return shard_of(classes, rank(), world_size())


def draw_rows(
    shard: Shard, embedding_size: int, spread: float, generator: torch.Generator | None
) -> Tensor:
    """Rows (c, D) of normal(0, spread) numbers: the shard's part of one drawn whole (D, C).

    Each process draws the whole, in blocks, and keeps its own. So the numbers, and the generator's
    state after them, are those of a head that is not sharded.
    """
    rows = torch.empty(len(shard), embedding_size)
    numbers = embedding_size * shard.classes
    for start, end in _drawn_blocks(numbers):
        block = torch.empty(end - start).normal_(0, spread, generator=generator)
        for dimension in range(start // shard.classes, (end - 1) // shard.classes + 1):
            offset = dimension * shard.classes
            first = max(start, offset + shard.first)
            last = min(end, offset + shard.end)
            if first < last:
                own = slice(first - offset - shard.first, last - offset - shard.first)
                rows[own, dimension] = block[first - start : last - start]
    return rows


def _drawn_blocks(numbers: int) -> Iterator[tuple[int, int]]:
    # Torch makes normal numbers sixteen at a time, and draws the last sixteen of a tensor anew if
    # it holds no multiple of them: the last block must not be shorter than that.
    start = 0
    while start < numbers:
        end = start + _BLOCK
        if numbers - end < 16:
            end = numbers
        yield start, end
        start = end


def join_rows(rows: Tensor, classes: int) -> Tensor | None:
    """The whole (D, C), in main memory, of the rows (c, D) of all processes; None but in the first.

    They come process by process in blocks, so that no process needs more than a block beside its
    own rows, but the first one. All processes must call this together.
    """
    size = rows.shape[1]
    at_once = max(1, _BLOCK // size)
    if rank() != 0:
        for first in range(0, len(rows), at_once):
            dist.send(rows.detach()[first : first + at_once].contiguous(), 0)
        return None
    whole = torch.empty(size, classes, dtype=rows.dtype)
    own = own_shard(classes)
    whole[:, own.first : own.end] = rows.detach().T
    for number in range(1, world_size()):
        theirs = shard_of(classes, number, world_size())
        for first in range(theirs.first, theirs.end, at_once):
            end = min(first + at_once, theirs.end)
            block = rows.new_empty(end - first, size)
            dist.recv(block, number)
            whole[:, first:end] = block.T
    return whole


def split_rows(whole: Tensor, shard: Shard) -> Tensor:
    """The shard's rows (c, D) of the whole (D, C), contiguous, a copy."""
    return whole[:, shard.first : shard.end].T.contiguous().clone()
