"""Fine-tuning under rounding: the 8-bit network learns the float network's embeddings.

No identities are needed. The loss is the squared distance of the embeddings over the squared
length of the float one, so that direction and length are kept; feature distillation for 8 bits is
QuantFace's, the division by the length is ours.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pocketface.deploy.graph import Graph
from pocketface.deploy.int8.grid import Plan
from pocketface.deploy.int8.network import GraphNetwork

BATCH = 16
LEARNING_RATE = 1e-5
"""Of Adam, at the first step; it falls to zero along half a cosine. On a trained pocketnet_nano
larger ones were seen to lose a little (one seed, differences within noise)."""


def fine_tune(
    graph: Graph,
    plan: Plan,
    images: Tensor,
    steps: int,
    generator: torch.Generator,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Graph:
    """A graph whose weights, rounded by `plan`, give nearer what `graph` gives in float.

    Each step takes `BATCH` of `images` (N, 3, S, S), each mirrored with probability one half;
    `generator` draws them, and equal arguments give equal weights on one machine.
    """
    teacher = GraphNetwork(graph).eval().requires_grad_(False)
    student = GraphNetwork(graph, plan).train()
    # Slopes and steps of batch norms are few, and the grids were set for them.
    learnt = [p for name, p in student.weights.items() if name.endswith(("_weight", "_bias"))]
    optimiser = torch.optim.Adam(learnt, LEARNING_RATE)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        batch = _draw(images, generator)
        with torch.no_grad():
            wanted = teacher(batch)
        loss = ((student(batch) - wanted).square().sum(1) / wanted.square().sum(1)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        progress(step + 1, steps)
    return student.to_graph()


def _draw(images: Tensor, generator: torch.Generator) -> Tensor:
    chosen = torch.randint(len(images), (BATCH,), generator=generator)
    mirrored = torch.rand(BATCH, generator=generator) < 0.5
    batch = images[chosen]
    return torch.where(mirrored.view(-1, 1, 1, 1), batch.flip(3), batch)
