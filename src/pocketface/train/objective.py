"""The whole training loss as one module: backbone, head and distillation.

One module, so that data-parallel wrappers see every parameter in one forward pass.
"""

from torch import Tensor, nn

from pocketface.distill.losses import DistillationLoss, mean_cosine
from pocketface.distill.teacher import Outputs
from pocketface.heads.margin import MarginHead
from pocketface.models.backbone import Backbone


class Objective(nn.Module):
    """Loss terms of a batch by name; the training loss is their sum.

    Attributes:
        backbone: the student.
        head: the margin-softmax classifier.
        distillation: what a teacher adds, or None.
    """

    def __init__(
        self, backbone: Backbone, head: MarginHead, distillation: DistillationLoss | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.distillation = distillation

    def forward(
        self, inputs: Tensor, labels: Tensor, teacher: Outputs | None = None
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Loss terms, and the mean cosine to the teacher for the log.

        Args:
            inputs: float (N, 3, S, S), normalised.
            labels: int64 (N,).
            teacher: what the teacher gave for the same batch; needed if it is to teach.
        """
        if self.distillation is None or teacher is None:
            return {"margin": self.head(self.backbone(inputs), labels)}, None
        if self.distillation.needs_stages:
            embeddings, stages = self.backbone.forward_stages(inputs)
            student = Outputs(embeddings, tuple(stages))
        else:
            student = Outputs(self.backbone(inputs))
        terms = {"margin": self.head(student.embeddings, labels)}
        terms |= self.distillation(student, teacher, labels)
        return terms, mean_cosine(student.embeddings.detach(), teacher.embeddings)
