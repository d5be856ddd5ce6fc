"""The whole second-order gradient against the bench's plain writing of DARTS, in 64 bits.

That one knows torch's own layers, deep copies and nothing of ours, so it holds the network as
well as the step: edge by edge, primitive by primitive, virtual step, finite differences and all.
"""

import copy
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from pocketface.search.architect import VirtualStep, first_order, second_order
from pocketface.search.architecture import ArchitectureWeights
from pocketface.search.objective import SearchObjective
from pocketface.search.supernet import Supernet

BENCH = Path(__file__).resolve().parents[2] / "bench"
RATE, MOMENTUM, DECAY = 0.1, 0.9, 3e-2
SIZES = {"image_size": 16, "channels": 2, "cells": 4, "hidden": 8, "groups": 4}
EMBEDDING, PEOPLE = 4, 3


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bench() -> Iterator[tuple[ModuleType, ModuleType]]:
    """`bench/search.py` and `bench/naive_search.py`."""
    before = list(sys.path)
    yield _module("search"), _module("naive_search")
    assert sys.path == before


class Pair:
    """Our network and the plain one with the same weights and velocities; two batches."""

    def __init__(self, bench: tuple[ModuleType, ModuleType]) -> None:
        search, naive = bench
        generator = torch.Generator().manual_seed(3)
        supernet = Supernet(**SIZES, embedding_size=EMBEDDING, generator=generator)
        self.ours = SearchObjective(supernet, PEOPLE, None, generator).double()
        self.architecture = ArchitectureWeights(0.3, generator).double()
        self.alphas = tuple(self.architecture.parameters())
        moving = copy.deepcopy(self.ours)
        with torch.no_grad():
            for parameter in moving.parameters():
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.copy_(0.05 * noise)
        self.velocity = {name: value.detach() for name, value in moving.named_parameters()}
        self.theirs, moving_theirs = (
            self._plain(naive, search, net) for net in (self.ours, moving)
        )
        self.their_velocity = [weight.detach() for weight in moving_theirs.weights()]
        self.batches = [
            (
                torch.randn(6, 3, 16, 16, generator=generator, dtype=torch.float64),
                torch.randint(PEOPLE, (6,), generator=generator),
            )
            for _ in range(2)
        ]

    def _plain(self, naive: ModuleType, search: ModuleType, network: SearchObjective):
        plain = naive.NaiveNetwork(*SIZES.values(), EMBEDDING, PEOPLE).double()
        search.take_weights(plain, network, self.architecture)
        return plain

    def loss(self, which: int):
        return lambda network: network(*self.batches[which], *self.architecture.softmax())


def apart(ours: tuple[Tensor, ...], theirs: list[Tensor]) -> float:
    difference = torch.stack([(a - b).norm() for a, b in zip(ours, theirs, strict=True)]).norm()
    return float(difference / torch.stack([b.norm() for b in theirs]).norm())


def test_both_have_as_many_weights_and_the_same_loss(bench) -> None:
    pair = Pair(bench)
    counts = [
        sum(p.numel() for p in net) for net in (pair.ours.parameters(), pair.theirs.weights())
    ]
    assert counts[0] == counts[1]
    ours = pair.loss(0)(pair.ours)
    torch.testing.assert_close(ours, pair.theirs.loss(*pair.batches[0]), rtol=1e-11, atol=0)


def test_the_whole_second_order_gradient_is_that_of_the_plain_writing(bench) -> None:
    pair = Pair(bench)
    step = VirtualStep(RATE, MOMENTUM, DECAY, pair.velocity)
    ours = second_order(pair.ours, pair.alphas, pair.loss(0), pair.loss(1), step).gradients
    theirs = bench[1].second_order_step(
        pair.theirs,
        *pair.batches,
        rate=RATE,
        momentum=MOMENTUM,
        weight_decay=DECAY,
        velocity=pair.their_velocity,
    )
    assert apart(ours, theirs) < 1e-8
    # The second order, the velocity and the decay each matter here.
    plain = first_order(pair.ours, pair.alphas, pair.loss(1)).gradients
    assert apart(plain, theirs) > 0.01
    for other in (
        VirtualStep(RATE, MOMENTUM, DECAY),
        VirtualStep(RATE, MOMENTUM, 0, pair.velocity),
    ):
        found = second_order(pair.ours, pair.alphas, pair.loss(0), pair.loss(1), other).gradients
        assert apart(found, theirs) > 1e-5
