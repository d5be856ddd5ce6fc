"""Every loss in two gloo processes, each with half of a batch, against one with the whole."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from pocketface.distill import (
    AdaDistill,
    AngularDistillation,
    DistillationLoss,
    EmbeddingDistillation,
    InheritedClassifier,
    Outputs,
    RankAgreement,
    RelationalDistillation,
)
from pocketface.heads import CosFace

IMAGES, INPUTS, SIZE, PEOPLE = 12, 7, 5, 4

# Scales are low: at 64 a few steps of a linear student amplify rounding errors.
LOSSES: dict[str, Callable[[], DistillationLoss]] = {
    "embedding": lambda: EmbeddingDistillation(3.0),
    "angular": lambda: AngularDistillation(
        (2, 2, 2, 2), (2, 2, 2, 2), weight=2.0, stage_weights=(1.0, 0.5, 0.0, 2.0)
    ),
    "adadistill": lambda: AdaDistill(SIZE, PEOPLE, scale=8.0),
    "relational": lambda: RelationalDistillation(angle_images=5),
    "inherited": lambda: InheritedClassifier(
        CosFace(SIZE, PEOPLE, scale=8.0, margin=0.1, generator=torch.Generator().manual_seed(1)),
        weight=2.0,
    ),
    # So steep that few ranks move, and a false positive rate that is less than one pair.
    "ekd": lambda: RankAgreement(
        positive_weight=2.0,
        negative_weight=3.0,
        hardest=9,
        rates=(0.3, 1e-3),
        temperature=0.2,
        momentum=0.5,
    ),
    "adadistill, the student alone": lambda: AdaDistill(SIZE, PEOPLE, scale=8.0, by_centre=False),
}


def learn(name: str) -> dict[str, np.ndarray]:
    """Three steps of a linear student; gives its weights, the loss's state and the mean terms."""
    world, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
    generator = torch.Generator().manual_seed(5)
    loss = LOSSES[name]().double().train()
    weights = torch.randn(INPUTS, SIZE, generator=generator, dtype=torch.float64)
    weights.requires_grad_()
    kept: dict[str, np.ndarray] = {}
    for step in range(3):
        inputs = torch.randn(IMAGES, INPUTS, generator=generator, dtype=torch.float64)
        targets = torch.randn(IMAGES, SIZE, generator=generator, dtype=torch.float64)
        labels = torch.randint(PEOPLE, (IMAGES,), generator=generator)
        share = slice(rank * IMAGES // world, (rank + 1) * IMAGES // world)
        student = outputs(inputs[share] @ weights)
        terms = loss(student, outputs(targets[share]), labels[share])
        (gradient,) = torch.autograd.grad(sum(terms.values()), weights)
        for mean in (gradient, *(term.detach() for term in terms.values())):
            if world > 1:
                dist.all_reduce(mean)
            mean /= world
        kept |= {f"{step} {key}": term.detach().numpy() for key, term in terms.items()}
        weights = (weights - 0.1 * gradient).detach().requires_grad_()
    state = {key: value.numpy() for key, value in loss.state_dict().items()}
    return {"weights": weights.detach().numpy(), **state, **kept}


def outputs(embeddings: Tensor) -> Outputs:
    """Embeddings, and four maps made of their numbers."""
    maps = embeddings[:, :4].reshape(-1, 2, 1, 2)
    return Outputs(embeddings, (maps, maps**2, maps, maps.flip(1)))


@pytest.mark.parametrize("name", LOSSES)
def test_two_processes_learn_as_one(name, two_processes):
    whole = learn(name)
    halves = two_processes(learn, name)
    for key, value in whole.items():
        for half in halves:
            np.testing.assert_allclose(half[key], value, rtol=1e-9, atol=1e-12, err_msg=key)
    assert len(whole) >= 4
