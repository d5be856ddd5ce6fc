"""SGD by rows: the rows of a sparse gradient move as in SGD, the others are not touched."""

import pytest
import torch
from torch import Tensor

from pocketface.train.row_sgd import RowSGD

SETTINGS = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.02}


def sparse(rows: list[int], values: Tensor, size: int) -> Tensor:
    shape = size, values.shape[1]
    return torch.sparse_coo_tensor(torch.tensor([rows]), values, shape, check_invariants=True)


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_rows_move_as_in_a_plain_loop(momentum):
    settings = SETTINGS | {"momentum": momentum}
    parameter = torch.nn.Parameter(draw(7, 3, seed=0))
    optimiser = RowSGD([parameter], **settings)
    values, moments = parameter.detach().clone(), torch.zeros(7, 3, dtype=torch.float64)
    for step, rows in enumerate([[1, 4], [6, 0, 4], [4], []]):
        gradient = draw(len(rows), 3, seed=step + 1)
        parameter.grad = sparse(rows, gradient, 7)
        optimiser.step()
        for row, change in zip(rows, gradient, strict=True):
            moments[row] = momentum * moments[row] + change + 0.02 * values[row]
            values[row] = values[row] - 0.1 * moments[row]
        assert torch.allclose(parameter.detach(), values, rtol=1e-12)
    assert torch.equal(parameter[2:4].detach(), draw(7, 3, seed=0)[2:4])


def test_where_every_row_takes_part_it_is_torch_s_sgd():
    ours, theirs = (torch.nn.Parameter(draw(5, 3, seed=0)) for _ in range(2))
    one, two = RowSGD([ours], **SETTINGS), torch.optim.SGD([theirs], **SETTINGS)
    for step in range(4):
        theirs.grad = draw(5, 3, seed=step + 1)
        ours.grad = sparse([0, 1, 2, 3, 4], theirs.grad, 5)
        one.step()
        two.step()
    assert torch.allclose(ours, theirs, rtol=1e-12)
    two.load_state_dict(one.state_dict())  # and the states are of one form


def test_repeated_rows_count_together():
    parameter = torch.nn.Parameter(torch.zeros(3, 2))
    parameter.grad = sparse([1, 1], torch.tensor([[1.0, 0.0], [2.0, 4.0]]), 3)
    RowSGD([parameter], lr=1.0).step()
    assert parameter.tolist() == [[0.0, 0.0], [-3.0, -4.0], [0.0, 0.0]]


def test_dense_gradients_beside_and_the_gradient_stays():
    parameter, plain, other = (torch.nn.Parameter(torch.ones(3, 2)) for _ in range(3))
    optimiser = RowSGD([parameter, plain, other], **SETTINGS)
    parameter.grad = sparse([0], torch.ones(1, 2), 3)
    plain.grad = torch.ones(3, 2)
    optimiser.step()
    assert parameter.grad.is_sparse
    assert torch.equal(parameter[0], plain[0])
    assert torch.equal(parameter[1:], torch.ones(2, 2))
    assert torch.equal(other, torch.ones(3, 2))
    optimiser.zero_grad(set_to_none=True)
    assert parameter.grad is None


def test_a_closure_is_called():
    parameter = torch.nn.Parameter(torch.ones(2))

    def closure() -> Tensor:
        loss = parameter.sum()
        loss.backward()
        return loss

    assert float(RowSGD([parameter], lr=0.5).step(closure).detach()) == 2.0
    assert parameter.tolist() == [0.5, 0.5]
