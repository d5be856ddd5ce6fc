"""Fitting a projection to a teacher's embeddings before the first step."""

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric

from pocketface.distill import FaceBatch, Teacher
from pocketface.distill.losses import unit
from pocketface.distill.projection import FittedProjection, Projection
from pocketface.train.loader import FaceLoader

SAMPLE = 4096
"""Images that the directions are found from, or all where there are fewer."""

_AT_ONCE = 128


def fit_projection(
    projection: Projection | None, teacher: Teacher | None, loader: FaceLoader, fabric: Fabric
) -> bool:
    """Fit `projection` on images drawn by the loader's seed; gives whether there was need to.

    The images are those that the student would see, not augmented. Processes share the work.
    """
    if not isinstance(projection, FittedProjection) or bool(projection.fitted):
        return False
    assert teacher is not None  # without one there is no projection
    size = teacher.embedding_size
    # Sums of x and of x x^T as one matrix, since (x, 1)(x, 1)^T holds both and the count too.
    sums = torch.zeros(size + 1, size + 1, dtype=torch.float64, device=fabric.device)
    order = np.random.default_rng((loader.seed, SAMPLE)).permutation(len(loader.labels))[:SAMPLE]
    own = order[fabric.global_rank :: fabric.world_size]
    for start in range(0, len(own), _AT_ONCE):
        indices = own[start : start + _AT_ONCE]
        images, faults = loader.images.__getitems__(indices.tolist())
        indices = indices[[fault == "" for fault in faults]]
        if len(indices) == 0:
            continue
        batch = FaceBatch(
            images=torch.from_numpy(images).to(fabric.device),
            labels=torch.from_numpy(loader.labels[indices]).to(fabric.device),
            indices=torch.from_numpy(indices),
            mirrored=torch.zeros(len(indices), dtype=torch.bool),
        )
        directions = unit(teacher.targets(batch).embeddings).double()
        with_one = F.pad(directions, (0, 1), value=1.0)
        sums += with_one.T @ with_one
    total = fabric.all_reduce(sums, reduce_op="sum")
    assert isinstance(total, torch.Tensor)
    means = total / total[-1, -1].clamp_min(1)
    projection.fit(means[:-1, -1], means[:-1, :-1])
    return True
