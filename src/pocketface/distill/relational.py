"""Relational distillation: distances and angles among the images of a batch are handed on.

Source: Relational knowledge distillation (Park et al., CVPR 2019). That the relations are those of
unit embeddings, so that an embedding's length does not count, and the default weights are ours.
"""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pocketface.distill.config import DistillConfig, Partners
from pocketface.distill.losses import DistillationLoss, unit
from pocketface.distill.teacher import Outputs
from pocketface.parallel.gather import gather_rows

NEAR = 1e-4
"""Embeddings nearer than this have no direction to each other; it bounds the gradient."""


class RelationalConfig(DistillConfig):
    """Relational distillation in a recipe.

    Embeddings of the two networks are never compared with each other, so their sizes may differ.
    """

    needs_people: ClassVar[bool] = False
    compares_sizes: ClassVar[bool] = False

    loss: Literal["relational"]
    distance_weight: float = Field(default=25.0, ge=0)
    angle_weight: float = Field(default=50.0, ge=0)
    angle_images: int = Field(default=64, ge=3, description="of a batch; the cost is their cube")

    def create_loss(self, partners: Partners) -> "RelationalDistillation":
        """Build the loss."""
        return RelationalDistillation(
            self.distance_weight, self.angle_weight, angle_images=self.angle_images
        )


class RelationalDistillation(DistillationLoss):
    """Huber distances (width 1) between two networks' relations, the mean over all of a batch.

    A relation of two images is the distance of their unit embeddings, divided by the mean distance
    in the batch; one of three is the cosine of the angle at one of them. Angles are taken among
    `angle_images` images spread evenly over the batch, which is that of all processes.

    Args:
        distance_weight: of the term of pairs.
        angle_weight: of the term of triples.
        angle_images: see above.
    """

    gathers = True

    def __init__(
        self, distance_weight: float = 25.0, angle_weight: float = 50.0, *, angle_images: int = 64
    ) -> None:
        super().__init__()
        self.distance_weight = distance_weight
        self.angle_weight = angle_weight
        self.angle_images = angle_images

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor) -> dict[str, Tensor]:
        """Terms `distance` and `angle`; see DistillationLoss. The batch needs three images."""
        ours, theirs = gather_rows(unit(student.embeddings), unit(teacher.embeddings))
        count = min(len(ours), self.angle_images)
        chosen = torch.arange(count, device=ours.device) * len(ours) // count
        with torch.autocast(ours.device.type, enabled=False):
            distance = F.smooth_l1_loss(_distances(ours), _distances(theirs))
            angle = F.smooth_l1_loss(_angles(ours[chosen]), _angles(theirs[chosen]))
        return {"distance": self.distance_weight * distance, "angle": self.angle_weight * angle}


def _distances(directions: Tensor) -> Tensor:
    """Distances of all pairs of unit rows (N, D), over their mean; (N (N - 1) / 2,)."""
    count = len(directions)
    first, second = torch.triu_indices(count, count, 1, device=directions.device)
    cosines = (directions @ directions.T)[first, second]
    distances = (2.0 - 2.0 * cosines).clamp_min(NEAR**2).sqrt()
    return distances / distances.mean()


def _angles(directions: Tensor) -> Tensor:
    """Cosines of the angle at each row (N, D) between each two others; (N (N-1) (N-2),)."""
    count = len(directions)
    # rays[j, i] points from j to i.
    rays = F.normalize(directions.unsqueeze(0) - directions.unsqueeze(1), dim=2, eps=NEAR)
    cosines = rays @ rays.transpose(1, 2)
    one = torch.eye(count, dtype=torch.bool, device=directions.device)
    equal = one.unsqueeze(0) | one.unsqueeze(1) | one.unsqueeze(2)
    return cosines[~equal]
