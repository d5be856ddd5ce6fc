"""Fitting a projection to a teacher's embeddings before the first step."""

import numpy as np
import torch
from lightning_fabric import Fabric

from pocketface.distill import FaceBatch, Teacher
from pocketface.distill.losses import unit
from pocketface.distill.projection import PrincipalProjection, Projection
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
    if not isinstance(projection, PrincipalProjection) or bool(projection.fitted):
        return False
    assert teacher is not None  # without one there is no projection
    size = teacher.embedding_size
    moment = torch.zeros(size, size, dtype=torch.float64, device=fabric.device)
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
        moment += directions.T @ directions
    total = fabric.all_reduce(moment, reduce_op="sum")
    assert isinstance(total, torch.Tensor)
    projection.fit(total)
    return True
