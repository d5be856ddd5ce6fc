import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pocketface.heads.cosine import cosines


def drawn(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("people", [1, 7, 200])
def test_values_and_gradients_are_those_of_normalised_centres(people: int) -> None:
    directions, centres = drawn(5, 4, seed=0), drawn(4, people, seed=1)
    upstream = drawn(5, people, seed=2).detach()
    found, expected = cosines(directions, centres), directions @ F.normalize(centres, dim=0)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad((found * upstream).sum(), [directions, centres]),
        torch.autograd.grad((expected * upstream).sum(), [directions, centres]),
    )


def test_one_gradient_alone() -> None:
    directions, centres = drawn(5, 4, seed=0), drawn(4, 3, seed=1)
    both = torch.autograd.grad(cosines(directions, centres).square().sum(), [directions, centres])
    for place, pair in enumerate([(directions, centres.detach()), (directions.detach(), centres)]):
        (one,) = torch.autograd.grad(cosines(*pair).square().sum(), [pair[place]])
        torch.testing.assert_close(one, both[place])


def test_gradients_can_be_differentiated_again() -> None:
    inputs = drawn(3, 4, seed=0), drawn(4, 5, seed=1)
    assert torch.autograd.gradcheck(cosines, inputs)
    assert torch.autograd.gradgradcheck(cosines, inputs)


def test_a_centre_of_no_length_gives_cosine_0_and_a_finite_gradient() -> None:
    directions, centres = drawn(2, 3, seed=0), torch.zeros(3, 2, dtype=torch.float64)
    centres.requires_grad_()
    values = cosines(directions, centres)
    assert torch.equal(values, torch.zeros_like(values))
    expected = directions @ F.normalize(centres, dim=0)
    for found, wanted in zip(
        torch.autograd.grad(values.sum(), [directions, centres]),
        torch.autograd.grad(expected.sum(), [directions, centres]),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted)
