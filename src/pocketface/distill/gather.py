"""A batch as all processes hold it together: for losses that compare images with one another."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def gather_rows(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The rows of all processes, in the order of their ranks, of each (n, ...) tensor.

    The tensors of one process have the same number of rows n, which may differ between processes.
    All processes must call this together; where there is one alone, its own tensors come back.

    The gradient reaches this process's own rows, multiplied by the number of processes: data
    parallelism takes the mean of the processes' gradients, and this loss is the same in each. So
    the weights move as if one process had had the whole batch.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return tensors
    first = tensors[0]
    counts = [torch.zeros(1, dtype=torch.int64, device=first.device) for _ in range(_world())]
    dist.all_gather(counts, torch.tensor([len(first)], device=first.device))
    sizes = [int(count) for count in counts]
    gathered: tuple[Tensor, ...] = tuple(
        _Gather.apply(tensor, sizes)  # type: ignore[no-untyped-call]
        for tensor in tensors
    )
    return gathered


class _Gather(torch.autograd.Function):
    """Rows of all processes; see `gather_rows`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: list[int]) -> Tensor:
        """Gather `rows` (n, ...) of processes that hold `sizes` of them."""
        rank = dist.get_rank()
        ctx.span = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
        # Gloo and NCCL gather tensors of one shape: the shorter ones are filled up.
        padded = rows.new_zeros(max(sizes), *rows.shape[1:])
        padded[: len(rows)] = rows
        blocks = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(blocks, padded)
        return torch.cat([block[:size] for block, size in zip(blocks, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The part of the gradient that belongs to this process's rows, times the processes."""
        return gradients[0][ctx.span] * _world(), None


def _world() -> int:
    return dist.get_world_size()
