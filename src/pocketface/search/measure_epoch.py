"""What the end of an epoch is measured by: accuracy on both halves, and how the cells stand."""

import numpy as np
import torch

from pocketface.search.collapse import dominant_eigenvalue, mean_entropy, pool_count, skip_count
from pocketface.search.config import SearchConfig
from pocketface.search.discretise import discretise
from pocketface.search.halves_loader import Half, HalvesLoader
from pocketface.search.history import EpochRecord
from pocketface.search.statistics import untracked
from pocketface.search.step import SearchStep
from pocketface.search.target import Target

TRAINING_IMAGES = 4096
"""Images of the weights' half that its accuracy is measured on, evenly spread; ours, for speed.
The other half, whose accuracy decides, is measured whole."""


def measure_epoch(
    step: SearchStep, halves: HalvesLoader, target: Target, config: SearchConfig, epoch: int
) -> EpochRecord:
    """Measure after `epoch` (0-based); the networks stay as they are.

    Raises:
        TrainingError: if an architecture weight is not finite.
    """
    normal, reduce = step.architecture.normal, step.architecture.reduce
    # As the weights stand, whatever the budget allows: that is what collapse shows in.
    cells = discretise(normal, reduce)
    cost = target.costs.of(cells)
    return EpochRecord(
        top1_weights=top1(step, halves, "weights", TRAINING_IMAGES),
        top1_architecture=top1(step, halves, "architecture"),
        skips_normal=skip_count(cells.normal),
        skips_reduce=skip_count(cells.reduce),
        pools_normal=pool_count(cells.normal),
        pools_reduce=pool_count(cells.reduce),
        entropy_normal=mean_entropy(normal),
        entropy_reduce=mean_entropy(reduce),
        eigenvalue=_eigenvalue(step, halves, config, epoch),
        parameters=cost.parameters,
        macs=cost.macs,
    )


@torch.no_grad()
def top1(step: SearchStep, halves: HalvesLoader, half: Half, most: int | None = None) -> float:
    """The share of a half's images whose person has the highest score of all people.

    Args:
        step: holds the networks; in evaluation mode batch norms take their running statistics.
        halves: both halves; images that cannot be read do not count.
        half: which.
        most: on so many images at most, evenly spread; None is on all.
    """
    count = len(halves.loaders[half].labels)
    taken = count if most is None else min(count, most)
    chosen = np.arange(taken) * count // taken
    weights = step.architecture.softmax()
    right = seen = 0
    step.network.eval()
    for begin in range(0, taken, halves.batch_size):
        batch = halves.as_they_are(half, chosen[begin : begin + halves.batch_size])
        if batch is not None:
            images, labels = batch
            found = step.network.scores(images, *weights).argmax(dim=1)
            right += int((found == labels).sum())
            seen += len(labels)
    step.network.train()
    return right / max(1, seen)


def _eigenvalue(step: SearchStep, halves: HalvesLoader, config: SearchConfig, epoch: int) -> float:
    """The dominant eigenvalue on the first batch that the architecture's half had in `epoch`."""
    steps = config.collapse.eigenvalue_steps
    if not steps:
        return 0.0
    indices = next(halves.loaders["architecture"].sampler.batches(epoch))
    batch = halves.as_they_are("architecture", indices)
    if batch is None:
        return 0.0
    images, labels = batch
    generator = torch.Generator().manual_seed(epoch)
    step.network.train()
    with untracked(step.network):
        return dominant_eigenvalue(
            lambda: step.network(images, labels, *step.architecture.softmax()),
            list(step.architecture.parameters()),
            steps=steps,
            generator=generator,
        )
