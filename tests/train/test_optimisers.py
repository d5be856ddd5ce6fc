"""Fused SGD, alone and under a loss scale, against the rule written out."""

import copy

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn

from pocketface.train.optimisers import bound_gradient, create_sgd, load_optimiser, step_all
from pocketface.train.schedule import OptimiserConfig

CONFIG = OptimiserConfig(learning_rate=0.1, momentum=0.9, weight_decay=0.01)


def layer(seed: int = 0) -> nn.Conv2d:
    made = nn.Conv2d(3, 4, 3)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(generator=generator)
    return made


def gradients(module: nn.Module, seed: int, scale: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(p.shape, generator=generator) * scale for p in module.parameters()]


def give(module: nn.Module, values: list[Tensor]) -> None:
    for parameter, value in zip(module.parameters(), values, strict=True):
        parameter.grad = value.clone(memory_format=torch.preserve_format)


def plain() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


def scaled(scale: float = 1024.0, interval: int = 1000) -> tuple[Fabric, torch.amp.GradScaler]:
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=interval)
    precision = MixedPrecision("16-mixed", "cpu", scaler)
    fabric = Fabric(accelerator="cpu", devices=1, plugins=precision)
    scaler.scale(torch.zeros(()))  # makes its tensor, as a backward pass would
    return fabric, scaler


def test_steps_are_those_of_the_rule():
    module = layer()
    optimiser = create_sgd(module.parameters(), CONFIG)
    weights = [p.detach().clone() for p in module.parameters()]
    momentum = [torch.zeros_like(w) for w in weights]
    for step in range(3):
        given = gradients(module, step)
        give(module, given)
        step_all(plain(), [optimiser])
        for w, m, g in zip(weights, momentum, given, strict=True):
            m.mul_(0.9).add_(g + 0.01 * w)
            w.sub_(0.1 * m)
    for parameter, weight in zip(module.parameters(), weights, strict=True):
        torch.testing.assert_close(parameter.detach(), weight)


def test_a_parameter_whose_first_gradient_comes_late():
    module = layer()
    optimiser = create_sgd(module.parameters(), CONFIG)
    first = gradients(module, 0)
    module.weight.grad = first[0]
    step_all(plain(), [optimiser])
    before = module.bias.detach().clone()
    late = gradients(module, 1)
    give(module, late)
    step_all(plain(), [optimiser])
    torch.testing.assert_close(module.bias.detach(), before - 0.1 * (late[1] + 0.01 * before))


@pytest.mark.parametrize("bound", [0.5, 1e6])
def test_under_a_loss_scale_a_step_is_what_it_is_without(bound):
    modules = [layer(), layer()]
    ours = [create_sgd(module.parameters(), CONFIG) for module in modules]
    fabric, scaler = scaled()
    for step in range(3):
        given = gradients(modules[0], step)
        norms = []
        for module, optimiser, with_scale in zip(modules, ours, (False, True), strict=True):
            scale = scaler.get_scale() if with_scale else 1.0
            give(module, [g * scale for g in given])
            used = fabric if with_scale else plain()
            norms.append(float(bound_gradient(used, optimiser, bound)))
            step_all(used, [optimiser])
        assert norms[0] == pytest.approx(norms[1], rel=1e-5)
        expected = torch.stack([g.square().sum() for g in given]).sum().sqrt()
        assert norms[0] == pytest.approx(float(expected), rel=1e-5)
    for one, two in zip(*(module.parameters() for module in modules), strict=True):
        torch.testing.assert_close(one, two)


def test_an_overflow_is_skipped_and_leaves_no_trace_in_the_momentum():
    """Also if it is the very first step, as under a scale that begins too high it is."""
    module, other = layer(), layer()
    optimiser, reference = (create_sgd(m.parameters(), CONFIG) for m in (module, other))
    fabric, scaler = scaled()
    before = copy.deepcopy(module.state_dict())
    overflowed = [torch.full_like(p, torch.inf) for p in module.parameters()]
    give(module, overflowed)
    bound_gradient(fabric, optimiser, 5.0)
    step_all(fabric, [optimiser])
    assert scaler.get_scale() == 512.0
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    for step in range(2):
        given = gradients(module, step)
        give(module, [g * scaler.get_scale() for g in given])
        step_all(fabric, [optimiser])
        give(other, given)
        step_all(plain(), [reference])
    for one, two in zip(module.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_all_optimisers_unscale_by_the_scale_their_gradients_were_made_under():
    """The scale grows at this very step; only the first optimiser's gradient is bounded."""
    fabric, scaler = scaled(interval=1)
    modules = [layer(0), layer(1)]
    others = copy.deepcopy(modules)
    optimisers = [create_sgd(module.parameters(), CONFIG) for module in modules]
    references = [create_sgd(module.parameters(), CONFIG) for module in others]
    for step in range(2):
        scale = scaler.get_scale()
        for number, (module, other) in enumerate(zip(modules, others, strict=True)):
            given = gradients(module, 10 * step + number)
            give(module, [g * scale for g in given])
            give(other, given)
        bound_gradient(fabric, optimisers[0], 5.0)
        bound_gradient(plain(), references[0], 5.0)
        step_all(fabric, optimisers)
        step_all(plain(), references)
        assert scaler.get_scale() == 2 * scale
    for module, other in zip(modules, others, strict=True):
        for one, two in zip(module.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(one, two)


@pytest.mark.parametrize("way", [{"foreach": False}, {"foreach": True}, {"fused": True}])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_checkpoints_of_any_way_and_layout_go_on(way, memory_format):
    module = layer()
    theirs = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01, **way)
    give(module, gradients(module, 0))
    theirs.step()
    state = copy.deepcopy(theirs.state_dict())
    resumed = copy.deepcopy(module).to(memory_format=memory_format)
    ours = create_sgd(resumed.parameters(), CONFIG)
    load_optimiser(ours, state)
    assert ours.param_groups[0]["fused"]
    assert not ours.param_groups[0]["foreach"]
    given = gradients(module, 1)
    give(module, given)
    theirs.step()
    give(resumed, [g.contiguous(memory_format=_layout(g, memory_format)) for g in given])
    step_all(plain(), [ours])
    for one, two in zip(module.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, two)
    # And back: torch's plain optimiser takes what ours gives.
    again = torch.optim.SGD(resumed.parameters(), lr=0.1, momentum=0.9, **way)
    again.load_state_dict(ours.state_dict())
    assert again.state_dict()["state"].keys() == state["state"].keys()


def _layout(gradient: Tensor, memory_format: torch.memory_format) -> torch.memory_format:
    return memory_format if gradient.ndim == 4 else torch.contiguous_format


def test_without_momentum_none_is_kept():
    module = layer()
    config = OptimiserConfig(learning_rate=0.1, momentum=0.0, weight_decay=0.0)
    optimiser = create_sgd(module.parameters(), config)
    before = module.bias.detach().clone()
    given = gradients(module, 0)
    give(module, given)
    step_all(plain(), [optimiser])
    torch.testing.assert_close(module.bias.detach(), before - 0.1 * given[1])
    assert all(held.get("momentum_buffer") is None for held in optimiser.state.values())


def test_rows_of_a_sparse_gradient_under_a_loss_scale():
    tables = [nn.Embedding(5, 3, sparse=True) for _ in range(2)]
    tables[1].load_state_dict(tables[0].state_dict())
    ours = [create_sgd(table.parameters(), CONFIG) for table in tables]
    fabric, scaler = scaled()
    for seed, rows in enumerate([[1, 3], [3, 4]]):
        given = torch.randn(2, 3, generator=torch.Generator().manual_seed(seed))
        for table, optimiser, used in zip(tables, ours, (plain(), fabric), strict=True):
            scale = scaler.get_scale() if used is fabric else 1.0
            table.weight.grad = sparse(rows, given * scale)
            step_all(used, [optimiser])
        torch.testing.assert_close(tables[0].weight, tables[1].weight)
    before = tables[1].weight.detach().clone()
    tables[1].weight.grad = sparse([0, 2], torch.tensor([[torch.inf] * 3, [1.0] * 3]))
    step_all(fabric, [ours[1]])
    assert torch.equal(tables[1].weight, before)
    assert scaler.get_scale() == 512.0


def sparse(rows: list[int], values: Tensor) -> Tensor:
    return torch.sparse_coo_tensor(torch.tensor([rows]), values, (5, 3), check_invariants=True)
