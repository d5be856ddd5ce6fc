"""The interface of a distillation loss, and what a recipe says of it."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from pocketface.distill.teacher import Outputs


class DistillationLoss(nn.Module, ABC):
    """Compares a student with its teacher on one batch.

    A subclass gives its terms by name, each already multiplied by its weight; the training loss
    is the head's loss plus their sum. `needs_stages` says whether it looks at the four maps.
    """

    needs_stages: bool = False

    @abstractmethod
    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor) -> dict[str, Tensor]:
        """Loss terms by name, scalars.

        Args:
            student: embeddings (N, D) with gradient.
            teacher: embeddings (N, D) without gradient.
            labels: int64 (N,).
        """


def mean_cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean cosine between rows of (N, D) and (N, D): the scale-free measure that logs carry."""
    return torch.nn.functional.cosine_similarity(student.float(), teacher.float(), dim=1).mean()
