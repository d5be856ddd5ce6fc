"""The interface of a distillation loss, and the two measures that several of them share."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketface.distill.teacher import Outputs


class DistillationLoss(nn.Module, ABC):
    """Compares a student with its teacher on one batch.

    A subclass gives its terms by name, each already multiplied by its weight; the training loss
    is the head's loss plus their sum. `needs_stages` says whether it looks at the four maps,
    `gathers` whether its terms are those of all processes' images, the same in each process, and
    not means over this process's own.

    Its parameters are trained with the student; they and its buffers are kept in checkpoints, and
    none of them goes into a weights file. What it learns from a batch without gradient it learns in
    training mode only, and from the batches of all processes.
    """

    needs_stages: bool = False
    gathers: bool = False

    @abstractmethod
    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor) -> dict[str, Tensor]:
        """Loss terms by name, scalars.

        Args:
            student: embeddings (N, D) with gradient.
            teacher: embeddings (N, D) without gradient.
            labels: int64 (N,).
        """


def unit(embeddings: Tensor) -> Tensor:
    """Rows of (N, D) at unit length, in float32 at least."""
    wide = torch.promote_types(embeddings.dtype, torch.float32)
    return F.normalize(embeddings.to(wide), dim=1)


def mean_cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean cosine between rows of (N, D) and (N, D): the scale-free measure that logs carry."""
    return F.cosine_similarity(student.float(), teacher.float(), dim=1).mean()
