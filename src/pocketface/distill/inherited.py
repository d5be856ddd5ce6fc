"""An inherited classifier: the teacher's own class centres, frozen, classify the student's faces.

The student is trained to be told apart by the directions that the teacher learnt for the same
people. The idea is that of ProxylessKD (arXiv 2011.00265); this form, with the teacher's margin
softmax and an optional term between embeddings, is ours.
"""

from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pocketface.distill.config import DistillConfig, Partners
from pocketface.distill.losses import DistillationLoss, unit
from pocketface.distill.teacher import Outputs
from pocketface.heads.margin import MarginHead


class InheritedConfig(DistillConfig):
    """The inherited classifier in a recipe; it takes the place of the recipe's head.

    The teacher is the folder of a run on the same images: its newest checkpoint holds the head,
    whose kind, scale and margin are kept. `weight` is that of a term beside it, PocketNet's
    embedding loss; 0 leaves it out.
    """

    replaces_head: ClassVar[bool] = True
    inherits_head: ClassVar[bool] = True

    loss: Literal["inherited"]
    weight: float = Field(default=0.0, ge=0)

    def create_loss(self, partners: Partners) -> "InheritedClassifier":
        """Build the loss round the teacher's head."""
        if partners.head is None:
            raise ValueError("an inherited classifier needs the teacher's head.")
        return InheritedClassifier(partners.head, self.weight)


class InheritedClassifier(DistillationLoss):
    """The teacher's margin softmax on the student's embeddings; its centres never move.

    Args:
        head: the teacher's; it is frozen, and its state is kept in checkpoints.
        weight: of the mean squared difference of unit embeddings beside it.

    Raises:
        ValueError: if `weight` is negative.
    """

    def __init__(self, head: MarginHead, weight: float = 0.0) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight must be at least 0. Got {weight} instead.")
        self.classifier = head.requires_grad_(False)
        self.weight = weight

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor) -> dict[str, Tensor]:
        """A term `inherited` and, with a weight, `embedding`; see DistillationLoss."""
        terms = {"inherited": self.classifier(student.embeddings, labels)}
        if self.weight:
            distance = F.mse_loss(unit(student.embeddings), unit(teacher.embeddings))
            terms["embedding"] = self.weight * distance
        return terms
