"""Embedding distillation: the student's unit embedding follows the teacher's."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketface.distill.losses import DistillationLoss
from pocketface.distill.teacher import Outputs


class EmbeddingDistillation(DistillationLoss):
    """PocketNet's loss: weight x MSE between unit embeddings, averaged over batch and dimensions.

    For embeddings of D numbers it equals weight x 2 (1 - cos) / D, so its pull on the angle
    halves when D doubles. PocketNet uses a weight of 100. Computed in float32 at least.
    """

    def __init__(self, weight: float = 100.0) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight must be at least 0. Got {weight} instead.")
        self.weight = weight

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor) -> dict[str, Tensor]:
        """One term, `embedding`; see DistillationLoss."""
        wide = torch.promote_types(student.embeddings.dtype, torch.float32)
        ours = F.normalize(student.embeddings.to(wide), dim=1)
        theirs = F.normalize(teacher.embeddings.to(wide), dim=1)
        return {"embedding": self.weight * F.mse_loss(ours, theirs)}
