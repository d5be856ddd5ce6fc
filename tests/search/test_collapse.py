"""Counts, entropy, curvature, regularisers and early stopping, against plain arithmetic."""

import math

import pytest
import torch
from torch import nn

from pocketface.models.genotype import CIFAR10, FACES
from pocketface.search.collapse import (
    CollapseConfig,
    beta_decay,
    dominant_eigenvalue,
    mean_entropy,
    pool_count,
    skip_count,
    skip_scale,
    sound_epochs,
)


def test_skips_and_pools_of_the_published_cells() -> None:
    assert [skip_count(cell) for cell in (FACES.normal, FACES.reduce)] == [1, 2]
    assert [pool_count(cell) for cell in (CIFAR10.normal, CIFAR10.reduce)] == [2, 7]


def test_entropy_against_a_loop() -> None:
    weights = torch.randn(14, 8, generator=torch.Generator().manual_seed(0))
    total = 0.0
    for row in weights.tolist():
        masses = [math.exp(number) for number in row]
        total -= sum(m / sum(masses) * math.log(m / sum(masses)) for m in masses)
    assert mean_entropy(weights) == pytest.approx(total / 14, rel=1e-5)
    assert mean_entropy(torch.zeros(14, 8)) == pytest.approx(math.log(8))


def test_beta_decay_against_a_loop_and_its_pull() -> None:
    normal, reduce = torch.randn(2, 14, 8, generator=torch.Generator().manual_seed(0))
    rows = normal.tolist() + reduce.tolist()
    wanted = sum(math.log(sum(math.exp(number) for number in row)) for row in rows) / 28
    normal.requires_grad_()
    decay = beta_decay(normal, reduce)
    assert float(decay.detach()) == pytest.approx(wanted, rel=1e-5)
    decay.backward()
    torch.testing.assert_close(normal.grad, normal.detach().softmax(dim=1) / 28)


def test_the_dominant_eigenvalue_of_a_known_hessian() -> None:
    generator = torch.Generator().manual_seed(1)
    root = torch.randn(6, 6, dtype=torch.float64, generator=generator)
    matrix = -(root @ root.T)
    parameters = [nn.Parameter(torch.randn(n, dtype=torch.float64)) for n in (2, 4)]
    before = [parameter.detach().clone() for parameter in parameters]

    def loss() -> torch.Tensor:
        joined = torch.cat(parameters)
        return joined @ matrix @ joined / 2

    found = dominant_eigenvalue(loss, parameters, steps=60, generator=generator)
    assert found == pytest.approx(float(torch.linalg.eigvalsh(matrix)[0]), rel=1e-4)
    few = dominant_eigenvalue(loss, parameters, steps=2, generator=generator)
    assert abs(few) <= abs(found) * (1 + 1e-6)
    for parameter, value in zip(parameters, before, strict=True):
        assert torch.equal(parameter.detach(), value)


def test_a_flat_loss_has_no_curvature() -> None:
    parameter = nn.Parameter(torch.zeros(3))
    generator = torch.Generator().manual_seed(0)
    found = dominant_eigenvalue(
        lambda: 2 * parameter.sum(), [parameter], steps=3, generator=generator
    )
    assert found == pytest.approx(0, abs=1e-3)


def test_skips_are_left_out_at_the_rate_and_keep_their_mean() -> None:
    scale = skip_scale(200, 8, 14, 0.3, torch.Generator().manual_seed(0))
    assert scale.shape == (200, 8, 14)
    assert scale.unique().tolist() == [0.0, pytest.approx(1 / 0.7)]
    assert float((scale == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    again = skip_scale(200, 8, 14, 0.3, torch.Generator().manual_seed(0))
    assert torch.equal(scale, again)
    assert torch.equal(skip_scale(2, 1, 1, 0.0, torch.Generator()), torch.ones(2, 1, 1))


def test_by_default_nothing_stops_a_search() -> None:
    assert sound_epochs(CollapseConfig(), [8] * 30, [float(2**n) for n in range(30)]) is None


def test_a_search_stops_at_the_limit_of_skips_and_forgets_that_epoch() -> None:
    config = CollapseConfig(stop="skips", skip_limit=2)
    assert sound_epochs(config, [0, 1, 1], [0.0] * 3) is None
    assert sound_epochs(config, [0, 1, 1, 2], [0.0] * 4) == 3
    assert sound_epochs(config, [3], [0.0]) == 1


def test_a_search_stops_when_the_eigenvalue_has_risen_and_goes_back() -> None:
    config = CollapseConfig(stop="eigenvalue", window=2, ratio=0.75)
    assert sound_epochs(config, [0] * 3, [1.0, 1.0, 9.0]) is None
    assert sound_epochs(config, [0] * 4, [1.0, 1.0, 1.2, 1.2]) is None
    assert sound_epochs(config, [0] * 4, [1.0, 1.0, 1.4, 1.4]) == 2
    assert sound_epochs(config, [0] * 4, [-1.0, -1.0, -3.0, -3.0]) is None
