"""Embedding distillation: the student's unit embedding follows the teacher's."""

from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pocketface.distill.config import DistillConfig, Partners
from pocketface.distill.losses import DistillationLoss, unit
from pocketface.distill.teacher import Outputs


class EmbeddingConfig(DistillConfig):
    """PocketNet's distillation in a recipe; the default weight is the paper's."""

    needs_people: ClassVar[bool] = False

    loss: Literal["embedding"] = "embedding"
    weight: float = Field(default=100.0, ge=0)

    def create_loss(self, partners: Partners) -> "EmbeddingDistillation":
        """Build the loss."""
        return EmbeddingDistillation(self.weight)


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
        distance = F.mse_loss(unit(student.embeddings), unit(teacher.embeddings))
        return {"embedding": self.weight * distance}
