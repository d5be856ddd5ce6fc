"""SGD in one pass over memory, and several of them under one loss scale.

torch's fused SGD does a step's arithmetic in one kernel, and skips it on the device if the
gradients overflowed, so that nobody waits for the answer. Two of its habits are mended here. It
makes its momentum in the first step that has a gradient, and leaves that memory as it was found if
the step is skipped. And a checkpoint carries its optimiser's way of computing into another one.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pocketface.train.row_sgd import RowSGD
from pocketface.train.schedule import OptimiserConfig

_MOMENTUM = "momentum_buffer"
_WAYS = ("fused", "foreach", "differentiable")
"""What a group of parameters says of how its step is computed, beside what is computed."""


def create_sgd(parameters: Iterable[nn.Parameter], config: OptimiserConfig) -> RowSGD:
    """SGD with momentum and weight decay as `config` says."""
    return RowSGD(
        parameters,
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        fused=True,
    )


def load_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take over the state of another optimiser, whichever way it computed.

    Momentum gets the memory layout of its parameter, since the fused kernel reads both in the order
    in which they lie.
    """
    ways = [{way: group.get(way) for way in _WAYS} for group in optimiser.param_groups]
    optimiser.load_state_dict(state)
    for group, own in zip(optimiser.param_groups, ways, strict=True):
        group.update(own)
    for parameter, held in optimiser.state.items():
        momentum = held.get(_MOMENTUM)
        if momentum is not None and momentum.stride() != parameter.stride():
            held[_MOMENTUM] = torch.empty_like(parameter, requires_grad=False).copy_(momentum)


def bound_gradient(fabric: Fabric, optimiser: torch.optim.Optimizer, most: float) -> Tensor:
    """Scale the gradient down where its norm exceeds `most`; gives the norm that it had.

    Under a loss scale it is unscaled first. The norm of a gradient that overflowed is not finite,
    and `step_all` skips it.
    """
    scaler = _scaler(fabric)
    if scaler is not None:
        scaler.unscale_(optimiser)
    parameters = [each for group in optimiser.param_groups for each in group["params"]]
    return nn.utils.clip_grad_norm_(parameters, most)


def step_all(fabric: Fabric, optimisers: Sequence[torch.optim.Optimizer]) -> None:
    """Let every optimiser take its step.

    Under a loss scale, those whose gradients overflowed skip it. The scale changes once, after the
    last: the gradients of all were made under the same one, and must be unscaled by it.
    """
    scaler = _scaler(fabric)
    for optimiser in optimisers:
        _begin_momentum(optimiser)
        if scaler is None:
            optimiser.step()
        else:
            scaler.step(optimiser)
    if scaler is not None:
        scaler.update()


def _begin_momentum(optimiser: torch.optim.Optimizer) -> None:
    """Momentum of 0 where there is none; a first step from there is the first step without."""
    for group in optimiser.param_groups:
        if not group["momentum"]:
            continue
        for parameter in group["params"]:
            if _MOMENTUM not in optimiser.state[parameter]:
                fresh = torch.zeros_like(parameter, requires_grad=False)
                optimiser.state[parameter][_MOMENTUM] = fresh


def _scaler(fabric: Fabric) -> torch.amp.GradScaler | None:
    """What scales the loss under float16, so that small gradients are not lost; else None."""
    scaler: torch.amp.GradScaler | None = getattr(fabric.strategy.precision, "scaler", None)
    return scaler
