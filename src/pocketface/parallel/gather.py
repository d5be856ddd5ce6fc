"""A batch as all processes hold it together, for losses that look at the whole of it."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if _several() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if _several() else 0


def gather_rows(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The rows of all processes, in the order of their ranks, of each (n, ...) tensor.

    The tensors of one process have the same number of rows n, which may differ between processes.
    All processes must call this together; where there is one alone, its own tensors come back.

    The gradient reaches this process's own rows, multiplied by the number of processes: data
    parallelism takes the mean of the processes' gradients, and this loss is the same in each. So
    the weights move as if one process had had the whole batch.
    """
    if world_size() == 1:
        return tensors
    counts = row_counts(tensors[0])
    gathered: tuple[Tensor, ...] = tuple(
        _Gather.apply(tensor, counts)  # type: ignore[no-untyped-call]
        for tensor in tensors
    )
    return gathered


def row_counts(rows: Tensor) -> list[int]:
    """How many rows each process's tensor (n, ...) has; all must call this together."""
    if world_size() == 1:
        return [len(rows)]
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(world_size())]
    dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    return [int(count) for count in counts]


def gather(rows: Tensor, counts: list[int]) -> Tensor:
    """The rows (n, ...) of all processes, without gradient; `counts` as from `row_counts`."""
    rows = rows.detach()
    if len(counts) == 1:
        return rows
    # Gloo and NCCL gather tensors of one shape: the shorter ones are filled up.
    padded = rows.new_zeros(max(counts), *rows.shape[1:])
    padded[: len(rows)] = rows
    blocks = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(blocks, padded)
    return torch.cat([block[:count] for block, count in zip(blocks, counts, strict=True)])


def own_rows(counts: list[int]) -> slice:
    """Where the rows of this process stand among those of all."""
    before = sum(counts[: rank()])
    return slice(before, before + counts[rank()])


class _Gather(torch.autograd.Function):
    """Rows of all processes; see `gather_rows`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        """Gather `rows` (n, ...) of processes that hold `counts` of them."""
        ctx.own = own_rows(counts)
        return gather(rows, counts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The part of the gradient that belongs to this process's rows, times the processes."""
        return gradients[0][ctx.own] * world_size(), None


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()
