import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pocketface.models.prelu import PReLU


def maps(*shape: int) -> Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x.view(-1)[0] = 0.0  # the kink
    return x.requires_grad_()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("slopes", [(0.25, -0.5, 1.7), (0.0, 1.0, 0.1)])
def test_values_and_gradients_are_those_of_torch(slopes: tuple[float, ...], memory_format) -> None:
    layer = PReLU(3).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(slopes))
    x = maps(2, 3, 4, 5)
    weights = maps(2, 3, 4, 5).detach().flip(0)
    found = layer(x.contiguous(memory_format=memory_format))
    expected = F.prelu(x, layer.weight)
    torch.testing.assert_close(found, expected)
    inputs = [x, layer.weight]
    torch.testing.assert_close(
        torch.autograd.grad((found * weights).sum(), inputs),
        torch.autograd.grad((expected * weights).sum(), inputs),
    )
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("block", [1, 60, 100, 1 << 18])
def test_gradients_are_the_same_in_blocks_of_any_size(block: int, monkeypatch) -> None:
    monkeypatch.setattr("pocketface.models.prelu._BLOCK", block)
    layer = PReLU(3).double()
    x = maps(5, 3, 4, 5).detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    inputs = [x, layer.weight]
    torch.testing.assert_close(
        torch.autograd.grad(layer(x).square().sum(), inputs),
        torch.autograd.grad(F.prelu(x, layer.weight).square().sum(), inputs),
    )


def test_gradients_may_be_differentiated_again() -> None:
    """The architecture search needs the gradient of a gradient."""
    layer = PReLU(3).double()
    x = maps(2, 3, 2, 2).detach() + 0.05
    assert torch.autograd.gradgradcheck(
        lambda x, slope: torch.func.functional_call(layer, {"weight": slope}, x),
        (x.requires_grad_(), layer.weight.detach().clone().requires_grad_()),
    )


def test_under_bfloat16_autocast() -> None:
    layer = PReLU(3)
    x = maps(2, 3, 4, 4).detach().float().bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(x).float().square().sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32


def test_names_are_those_of_torch() -> None:
    assert PReLU(3).state_dict().keys() == torch.nn.PReLU(3).state_dict().keys()
