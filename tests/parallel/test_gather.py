"""Rows of two processes: all of them, in order, and where the gradient goes."""

import numpy as np
import torch
import torch.distributed as dist

from pocketface.parallel.gather import gather_rows


def work() -> dict[str, np.ndarray]:
    """Process 0 holds two rows, process 1 three: one image more could be read there."""
    rank = dist.get_rank()
    rows = (10.0 * rank + torch.arange(2.0 + rank)).unsqueeze(1).repeat(1, 2).requires_grad_()
    labels = torch.arange(2 + rank) + 100 * rank
    gathered, people = gather_rows(rows, labels)
    (gathered.square() * torch.tensor([1.0, 0.5])).sum().backward()
    return {
        "rows": gathered.detach().numpy(),
        "people": people.numpy(),
        "own": rows.detach().numpy(),
        "gradient": rows.grad.numpy(),
    }


def test_shares_of_different_sizes_are_joined_in_the_order_of_ranks(two_processes):
    found = two_processes(work)
    for each in found:
        assert each["rows"][:, 0].tolist() == [0, 1, 10, 11, 12]
        assert each["people"].tolist() == [0, 1, 100, 101, 102]
        # The loss's own derivative, times two processes.
        np.testing.assert_allclose(each["gradient"], 2 * each["own"] * 2 * [1.0, 0.5])


def test_one_process_keeps_its_rows():
    rows = torch.ones(3, 2)
    assert gather_rows(rows)[0] is rows
