"""The gradient of the architecture weights: DARTS of first and of second order.

The architecture weights a are to be good for the network weights w that training would reach.
DARTS (Liu et al., arXiv 1806.09055, section 2.3) takes one step of training in their place:

    w'(a) = w - xi (momentum v + grad_w L_train(w, a) + decay w)

and follows the gradient of L_held_out(w'(a), a) with regard to a. By the chain rule it is

    grad_a L_held_out(w', a) - xi grad_a [grad_w L_train(w, a) . d],  d = grad_w' L_held_out(w', a)

whose second term is a Hessian-vector product, taken from finite differences:

    (grad_a L_train(w + eps d, a) - grad_a L_train(w - eps d, a)) / (2 eps),  eps = 0.01 / ||d||.

The network is not copied: it is called with other weights, which stand in one set of tensors that
is used three times. Its batch statistics stay untouched.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pocketface.search.statistics import untracked

EPSILON = 0.01
"""The length of the step to either side of the weights, the paper's."""

Loss = Callable[[Callable[..., Tensor]], Tensor]
"""Takes the network as a function; gives its loss on one batch, for the architecture weights."""


@dataclass(frozen=True)
class ArchitectureGradient:
    """What an architecture step follows.

    Attributes:
        gradients: with regard to each architecture tensor, in the order that they were given.
        held_out_loss: a scalar, at the weights that it was taken at (the virtual ones, if any).
    """

    gradients: tuple[Tensor, ...]
    held_out_loss: Tensor


@dataclass(frozen=True)
class VirtualStep:
    """The step of SGD that second-order DARTS looks ahead by.

    Attributes:
        rate: xi, the learning rate of the network's weights in force.
        momentum: of SGD.
        weight_decay: of SGD.
        velocity: SGD's momentum buffers by parameter name; a name that is missing stands at rest.
    """

    rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    velocity: Mapping[str, Tensor] | None = None

    @torch.no_grad()
    def apply(self, weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
        """Turn `gradients`, in place, into the weights after the step."""
        velocity = self.velocity or {}
        for name, weight in weights.items():
            change = gradients[name].add_(weight, alpha=self.weight_decay)
            if name in velocity:
                change.add_(velocity[name], alpha=self.momentum)
            change.mul_(-self.rate).add_(weight)


def velocity_of(optimiser: torch.optim.SGD, network: nn.Module) -> dict[str, Tensor]:
    """The momentum buffers of `optimiser` by the names of `network`'s parameters."""
    found = {}
    for name, parameter in network.named_parameters():
        buffer = optimiser.state.get(parameter, {}).get("momentum_buffer")
        if buffer is not None:
            found[name] = buffer
    return found


def first_order(
    network: nn.Module, architecture: tuple[nn.Parameter, ...], held_out: Loss
) -> ArchitectureGradient:
    """The gradient at the network's own weights, as if these did not depend on the architecture."""
    with untracked(network):
        loss = held_out(network)
        gradients = torch.autograd.grad(loss, architecture)
    return ArchitectureGradient(gradients, loss.detach())


def second_order(
    network: nn.Module,
    architecture: tuple[nn.Parameter, ...],
    training: Loss,
    held_out: Loss,
    step: VirtualStep,
    *,
    difference: Loss | None = None,
) -> ArchitectureGradient:
    """The gradient through one virtual step of training.

    Args:
        network: in training mode; its weights and statistics are left as they are.
        architecture: the tensors that are searched; `network` must not own them.
        training: the loss on a batch of the half that trains the weights.
        held_out: the loss on a batch of the half that the architecture is judged by, and what is
            added to it.
        step: the virtual step.
        difference: the training loss as it is taken for the finite differences, where it is to
            be computed more exactly than in `training` (under mixed precision).
    """
    weights = dict(network.named_parameters())
    with untracked(network):
        virtual = _gradients(training(network), weights)
        step.apply(weights, virtual)
        loss, gradients, direction = _look_ahead(network, architecture, held_out, virtual)
        products = _hessian_products(
            network, architecture, difference or training, weights, virtual, direction
        )
    for gradient, product in zip(gradients, products, strict=True):
        gradient.sub_(product, alpha=step.rate)
    return ArchitectureGradient(gradients, loss)


def _gradients(loss: Tensor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return {
        name: torch.zeros_like(weight) if gradient is None else gradient.detach()
        for (name, weight), gradient in zip(weights.items(), found, strict=True)
    }


def _look_ahead(
    network: nn.Module,
    architecture: tuple[nn.Parameter, ...],
    held_out: Loss,
    virtual: Mapping[str, Tensor],
) -> tuple[Tensor, tuple[Tensor, ...], dict[str, Tensor]]:
    """The loss at the virtual weights, its gradient for the architecture, and that for them."""
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in virtual.items()}
    loss = held_out(_called_with(network, leaves))
    wanted = [*architecture, *leaves.values()]
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    count = len(architecture)
    own = tuple(
        torch.zeros_like(parameter) if gradient is None else gradient
        for parameter, gradient in zip(architecture, found[:count], strict=True)
    )
    direction = {
        name: gradient
        for name, gradient in zip(leaves, found[count:], strict=True)
        if gradient is not None
    }
    return loss.detach(), own, direction


def _hessian_products(
    network: nn.Module,
    architecture: tuple[nn.Parameter, ...],
    training: Loss,
    weights: Mapping[str, Tensor],
    room: Mapping[str, Tensor],
    direction: Mapping[str, Tensor],
) -> list[Tensor]:
    """The mixed second derivative of `training` times `direction`; overwrites `room`."""
    norm = torch.stack([part.norm() for part in direction.values()]).norm()
    if float(norm) == 0:
        return [torch.zeros_like(parameter) for parameter in architecture]
    epsilon = EPSILON / float(norm)
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            for name, weight in weights.items():
                if name in direction:
                    torch.add(weight, direction[name], alpha=sign * epsilon, out=room[name])
                else:
                    room[name].copy_(weight)
        sides.append(torch.autograd.grad(training(_called_with(network, room)), architecture))
    return [(above - below) / (2 * epsilon) for above, below in zip(*sides, strict=True)]


def _called_with(network: nn.Module, weights: Mapping[str, Tensor]) -> Callable[..., Tensor]:
    def called(*args: object) -> Tensor:
        output: Tensor = functional_call(network, dict(weights), args)
        return output

    return called
