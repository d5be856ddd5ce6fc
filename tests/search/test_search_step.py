"""A step of the search: what moves, by which optimiser, and that it can be gone on with."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from pocketface.search.architecture import ArchitectureWeights
from pocketface.search.collapse import skip_scale
from pocketface.search.config import make_config
from pocketface.search.objective import SearchObjective
from pocketface.search.step import Batch, ExpectedCost, SearchStep
from pocketface.search.supernet import Supernet

SIZES = {
    "image_size": 16,
    "channels": 2,
    "cells": 4,
    "hidden": 8,
    "groups": 4,
    "embedding_size": 4,
}


def make_step(cost: ExpectedCost | None = None, **changes: Any) -> SearchStep:
    config = make_config("paper", {"supernet": SIZES} | changes)
    generator = torch.Generator().manual_seed(0)
    network = SearchObjective(Supernet(**SIZES, generator=generator), 3, None, generator)
    return SearchStep(config, network, ArchitectureWeights(generator=generator), cost)


def batches(seed: int) -> tuple[Batch, Batch]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(6) % 3
    first, second = torch.randn(2, 6, 3, 16, 16, generator=generator)
    return (first, labels), (second, labels)


def everything(step: SearchStep) -> dict[str, Tensor]:
    names = ("network", "architecture")
    states = step.states()
    return {f"{n}.{k}": v.clone() for n in names for k, v in states[n].items()}


@pytest.mark.parametrize("order", ["first", "second"])
def test_a_restored_search_goes_on_as_if_it_had_not_stopped(order: str) -> None:
    change = {"architecture.order": order}
    through, stopped, resumed = (make_step(**change) for _ in range(3))
    for step in (through, stopped):
        step(*batches(1))
    resumed.restore(copy.deepcopy(stopped.states()))
    for step in (through, resumed):
        step.set_rate(0.05)
        step(*batches(2))
    ours, theirs = everything(resumed), everything(through)
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), name


def test_the_first_step_of_adam_has_the_length_of_its_rate() -> None:
    step = make_step(**{"architecture.learning_rate": 0.01})
    before = everything(step)
    values = step(*batches(1))
    after = everything(step)
    moved = (after["architecture.normal"] - before["architecture.normal"]).abs()
    assert float(moved.median()) == pytest.approx(0.01, rel=0.01)
    assert set(values) == {"loss", "architecture_loss", "gradient_norm"}


def test_without_a_held_out_batch_the_architecture_stays() -> None:
    step = make_step()
    before = everything(step)
    values = step(batches(1)[0], None)
    after = everything(step)
    assert torch.equal(after["architecture.normal"], before["architecture.normal"])
    assert not torch.equal(
        after["network.supernet.stem.0.weight"], before["network.supernet.stem.0.weight"]
    )
    assert "architecture_loss" not in values


def test_the_expected_cost_pulls_the_architecture() -> None:
    def dear(normal: Tensor, reduce: Tensor) -> Tensor:
        return 1e4 * normal[:, 5].sum()

    step = make_step(dear)
    before = everything(step)["architecture.normal"]
    step(*batches(1))
    moved = everything(step)["architecture.normal"] - before
    assert bool((moved[:, 5] < 0).all())
    assert bool((moved[:, :5] > 0).all())


def test_beta_decay_and_left_out_skips_change_the_step() -> None:
    plain = make_step()
    plain(*batches(1))
    decayed = make_step()
    decayed(*batches(1), decay=1e4)
    assert not torch.equal(plain.architecture.normal, decayed.architecture.normal)
    dropped = make_step()
    scale = skip_scale(6, 4, 14, 0.5, torch.Generator().manual_seed(0))
    dropped(*batches(1), skip_scale=scale)
    stem = "network.supernet.stem.0.weight"
    assert not torch.equal(everything(plain)[stem], everything(dropped)[stem])


def test_the_gradient_is_bounded() -> None:
    step = make_step(**{"weights.clip_norm": 1e-3, "weights.weight_decay": 0.0})
    before = everything(step)
    step(batches(1)[0], None)
    moved = [
        everything(step)[f"network.{name}"] - before[f"network.{name}"]
        for name, _ in step.network.named_parameters()
    ]
    length = float(torch.cat([part.flatten() for part in moved]).norm())
    assert length == pytest.approx(0.1 * 1e-3, rel=0.02)
