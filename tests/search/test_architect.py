"""Architecture gradients against automatic differentiation through the whole unrolled step."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from pocketface.heads import HeadConfig
from pocketface.search import architect
from pocketface.search.architect import VirtualStep, first_order, second_order, velocity_of
from pocketface.search.architecture import ArchitectureWeights
from pocketface.search.mixed import SEARCH_PRIMITIVES
from pocketface.search.objective import SearchObjective
from pocketface.search.statistics import untracked
from pocketface.search.supernet import Supernet

RATE, MOMENTUM, DECAY = 0.1, 0.9, 3e-2


class Problem:
    """A tiny searched network in 64 bits, two batches, and SGD in full flight."""

    def __init__(self, head: HeadConfig | None = None, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        supernet = Supernet(
            image_size=16,
            channels=2,
            cells=4,
            hidden=8,
            groups=4,
            embedding_size=4,
            generator=generator,
        )
        self.network = SearchObjective(supernet, 3, head, generator).double()
        self.architecture = ArchitectureWeights(0.3, generator).double()
        self.alphas = tuple(self.architecture.parameters())
        labels = torch.arange(8) % 3
        self.batches = [
            (torch.randn(8, 3, 16, 16, dtype=torch.float64, generator=generator), labels)
            for _ in range(2)
        ]
        self.optimiser = torch.optim.SGD(self.network.parameters(), lr=0.01, momentum=MOMENTUM)
        for parameter in self.network.parameters():
            parameter.grad = 0.1 * torch.randn(
                parameter.shape, dtype=torch.float64, generator=generator
            )
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.step = VirtualStep(RATE, MOMENTUM, DECAY, velocity_of(self.optimiser, self.network))

    @torch.no_grad()
    def straighten(self) -> None:
        """Make PReLUs straight, leave maxima next to no weight, and the steps relatively small."""
        for alpha in self.alphas:
            alpha[:, SEARCH_PRIMITIVES.index("max_pool_3x3")] = -12.0
        for name, parameter in self.network.named_parameters():
            if parameter.dim() > 2:
                parameter *= 4
            elif name.endswith("slope"):
                parameter.fill_(1.0)
        for module in self.network.modules():
            if isinstance(module, torch.nn.PReLU):
                module.weight.fill_(1.0)

    def loss(self, which: int) -> Callable[[Callable[..., Tensor]], Tensor]:
        return lambda network: network(*self.batches[which], *self.architecture.softmax())

    def unrolled(self) -> tuple[dict[str, Tensor], Tensor]:
        """The virtual weights as a function of the architecture, by arithmetic on names."""
        weights = dict(self.network.named_parameters())
        loss = self.loss(0)(self.network)
        gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        stepped = {}
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            velocity = self.optimiser.state[weight]["momentum_buffer"]
            stepped[name] = weight - RATE * (MOMENTUM * velocity + gradient + DECAY * weight)
        held_out = functional_call(
            self.network, stepped, (*self.batches[1], *self.architecture.softmax())
        )
        return stepped, held_out


def together(tensors: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize("head", [None, HeadConfig(kind="cosface", scale=8.0, margin=0.2)])
def test_second_order_agrees_with_full_differentiation(head: HeadConfig | None) -> None:
    """At the paper's distance, on a network without kinks nearby.

    A PReLU and a maximum have kinks. In so tiny a network, whose last maps are single pixels,
    weights that are 0.01 apart do not lie on one side of all of them.
    """
    problem = Problem(head)
    problem.straighten()
    with untracked(problem.network):
        _, held_out = problem.unrolled()
        theirs = together(torch.autograd.grad(held_out, problem.alphas))
    ours = second_order(
        problem.network, problem.alphas, problem.loss(0), problem.loss(1), problem.step
    )
    assert relative(together(ours.gradients), theirs) < 1e-3
    torch.testing.assert_close(ours.held_out_loss, held_out.detach(), rtol=1e-10, atol=0)
    # The second term is no trifle here: without it the answer is another.
    plain = first_order(problem.network, problem.alphas, problem.loss(1))
    assert relative(together(plain.gradients), theirs) > 0.05


def test_second_order_agrees_nearer_by_with_every_kink_in_place(monkeypatch) -> None:
    problem = Problem()
    with untracked(problem.network):
        _, held_out = problem.unrolled()
        theirs = together(torch.autograd.grad(held_out, problem.alphas))
    monkeypatch.setattr(architect, "EPSILON", 1e-4)
    ours = second_order(
        problem.network, problem.alphas, problem.loss(0), problem.loss(1), problem.step
    )
    assert relative(together(ours.gradients), theirs) < 1e-6


def test_all_before_the_finite_differences_is_exact(monkeypatch) -> None:
    problem = Problem()
    seen: list[dict[str, Tensor]] = []

    def no_products(network, architecture, training, weights, room, direction):
        seen.extend([{k: v.clone() for k, v in room.items()}, direction])
        return [torch.zeros_like(parameter) for parameter in architecture]

    monkeypatch.setattr(architect, "_hessian_products", no_products)
    ours = second_order(
        problem.network, problem.alphas, problem.loss(0), problem.loss(1), problem.step
    )
    virtual, direction = seen
    with untracked(problem.network):
        stepped, _ = problem.unrolled()
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in stepped.items()}
        held_out = functional_call(
            problem.network,
            leaves,
            (*problem.batches[1], *problem.architecture.softmax()),
        )
        theirs = torch.autograd.grad(held_out, [*problem.alphas, *leaves.values()])
    for name, tensor in leaves.items():
        torch.testing.assert_close(virtual[name], tensor.detach(), rtol=1e-10, atol=1e-12)
    assert relative(together(ours.gradients), together(theirs[:2])) < 1e-10
    ours_there = together([direction[name] for name in leaves])
    assert relative(ours_there, together(theirs[2:])) < 1e-10


def test_the_network_is_left_as_it_was() -> None:
    problem = Problem()
    before = {name: tensor.clone() for name, tensor in problem.network.state_dict().items()}
    second_order(problem.network, problem.alphas, problem.loss(0), problem.loss(1), problem.step)
    first_order(problem.network, problem.alphas, problem.loss(1))
    for name, tensor in problem.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(parameter.grad is None for parameter in problem.network.parameters())
    # A pass of training itself does move them.
    problem.loss(0)(problem.network)
    moved = problem.network.state_dict()
    assert any("running" in name and not torch.equal(moved[name], before[name]) for name in before)


def test_first_order_is_the_gradient_at_the_weights_themselves() -> None:
    problem = Problem()
    ours = first_order(problem.network, problem.alphas, problem.loss(1))
    theirs = torch.autograd.grad(problem.loss(1)(problem.network), problem.alphas)
    assert relative(together(ours.gradients), together(theirs)) < 1e-10


def test_weights_at_rest_have_no_velocity() -> None:
    problem = Problem()
    fresh = torch.optim.SGD(problem.network.parameters(), lr=0.1, momentum=0.9)
    assert velocity_of(fresh, problem.network) == {}
    assert set(problem.step.velocity or ()) == set(dict(problem.network.named_parameters()))
