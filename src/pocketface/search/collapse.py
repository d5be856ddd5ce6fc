"""Noticing and hindering the collapse of DARTS towards skip connections and pooling.

What is watched: how many edges of the cells skip or pool, the entropy of the primitives' weights,
and the dominant eigenvalue of the held-out loss's Hessian with regard to the architecture weights,
which rises before the cells degenerate (RobustDARTS: Zela et al., arXiv 1909.09656).
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from pocketface.models.genotype import Edge

DIFFERENCE = 0.01
"""The length of the step to either side of the architecture weights in a Hessian product; ours."""


class CollapseConfig(BaseModel):
    """What is done against collapse; by default it is only watched, as in the paper.

    `beta_decay` is the weight, at the end of the search, of beta-decay (beta-DARTS: Ye et al.,
    CVPR 2022, arXiv 2203.01665); it grows from 0 in proportion to the epochs. `skip_dropout` is
    the probability, in the first epoch, that a skip connection is left out (the idea is P-DARTS's:
    Chen et al., arXiv 1904.12760; there single numbers are dropped, here a whole skip connection
    of one image), and falls to 0 in proportion to the epochs.

    `stop` ends the search early: "skips" once the normal cell has `skip_limit` skip connections
    (DARTS+: Liang et al., arXiv 1909.06035), "eigenvalue" once the mean of the dominant eigenvalue
    over `window` epochs was less than `ratio` of what it is now that many epochs ago
    (RobustDARTS). What came after the cells were last sound is not chosen from.

    `eigenvalue_steps` are the steps of power iteration at the end of an epoch, each of two passes
    over one batch: a cheap estimate; 0 leaves it out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    beta_decay: float = Field(default=0.0, ge=0)
    skip_dropout: float = Field(default=0.0, ge=0, lt=1)
    stop: Literal["never", "skips", "eigenvalue"] = "never"
    skip_limit: int = Field(default=2, ge=1)
    window: int = Field(default=5, ge=1, description="epochs")
    ratio: float = Field(default=0.75, gt=0, lt=1)
    eigenvalue_steps: int = Field(default=4, ge=0)

    @model_validator(mode="after")
    def _there_is_what_stops(self) -> "CollapseConfig":
        if self.stop == "eigenvalue" and not self.eigenvalue_steps:
            raise ValueError("stop: eigenvalue needs eigenvalue_steps of at least 1. Got 0")
        return self


def skip_count(edges: Sequence[Edge]) -> int:
    """How many edges of a cell are skip connections."""
    return sum(primitive == "skip_connect" for primitive, _ in edges)


def pool_count(edges: Sequence[Edge]) -> int:
    """How many edges of a cell pool."""
    return sum(primitive in ("max_pool_3x3", "avg_pool_3x3") for primitive, _ in edges)


def mean_entropy(weights: Tensor) -> float:
    """The mean over edges of the entropy of the softmax of `weights` (edges, 8), in nats."""
    logarithms = weights.detach().log_softmax(dim=1)
    return float(-(logarithms.exp() * logarithms).sum(dim=1).mean())


def beta_decay(normal: Tensor, reduce: Tensor) -> Tensor:
    """The mean over all edges of log(sum over primitives of exp(a)), a scalar to be added.

    It holds the raw weights of an edge together: its gradient with regard to each is the
    primitive's share, so the strongest is pulled down the most.
    """
    return torch.cat((normal, reduce)).logsumexp(dim=1).mean()


def skip_scale(
    images: int, cells: int, edges: int, rate: float, generator: torch.Generator
) -> Tensor:
    """Draw which skip connections are left out: float32 (images, cells, edges).

    0 with probability `rate`, else 1 / (1 - rate), so that the mean is 1.
    """
    drawn = torch.rand(images, cells, edges, generator=generator)
    return (drawn >= rate).float() / (1 - rate)


def dominant_eigenvalue(
    loss: Callable[[], Tensor],
    parameters: Sequence[nn.Parameter],
    *,
    steps: int,
    generator: torch.Generator,
) -> float:
    """The eigenvalue of largest magnitude of the loss's Hessian, by power iteration.

    A Hessian product is the central difference of two gradients, so no second derivative is
    taken. A few steps give an estimate that is near enough to see it rise; its magnitude never
    exceeds the true one by more than the finite differences' error.

    Args:
        loss: of `parameters`, at whatever values they hold when it is called.
        parameters: the architecture weights; they are moved, and put back exactly.
        steps: of power iteration, at least 1.
        generator: source of the first direction, on the CPU.
    """
    before = [parameter.detach().clone() for parameter in parameters]
    direction = [
        torch.randn(parameter.shape, generator=generator).to(parameter) for parameter in parameters
    ]
    value = 0.0
    try:
        for _ in range(steps):
            length = _norm(direction)
            if length == 0:
                return 0.0
            direction = [part / length for part in direction]
            sides = []
            for sign in (1, -1):
                _move(parameters, before, direction, sign * DIFFERENCE)
                sides.append(torch.autograd.grad(loss(), list(parameters)))
            product = [(up - down) / (2 * DIFFERENCE) for up, down in zip(*sides, strict=True)]
            value = sum(float((a * b).sum()) for a, b in zip(direction, product, strict=True))
            direction = product
    finally:
        _move(parameters, before, direction, 0.0)
    return value


def sound_epochs(
    config: CollapseConfig, skips: Sequence[int], eigenvalues: Sequence[float]
) -> int | None:
    """How many epochs to keep if the search is to stop now, or None to go on.

    Args:
        config: whether, and by what, to stop.
        skips: skip connections of the normal cell after each epoch so far.
        eigenvalues: the dominant eigenvalue after each epoch so far.
    """
    now = len(skips)
    if config.stop == "skips" and skips[-1] >= config.skip_limit:
        # If the cells never were sound, there is nothing but the first epoch to give.
        return max(1, now - 1)
    window = config.window
    if config.stop == "eigenvalue" and now >= 2 * window:
        recent = sum(eigenvalues[now - window :]) / window
        earlier = sum(eigenvalues[now - 2 * window : now - window]) / window
        if recent > 0 and earlier / recent < config.ratio:
            return now - window
    return None


def _norm(parts: Sequence[Tensor]) -> float:
    return float(torch.stack([part.norm() for part in parts]).norm())


@torch.no_grad()
def _move(
    parameters: Sequence[nn.Parameter],
    start: Sequence[Tensor],
    direction: Sequence[Tensor],
    length: float,
) -> None:
    """Put the parameters at `start` + `length` x `direction`; at exactly `start` for 0."""
    for parameter, origin, part in zip(parameters, start, direction, strict=True):
        parameter.copy_(origin if length == 0 else origin + length * part)
