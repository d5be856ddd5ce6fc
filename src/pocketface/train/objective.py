"""The whole training loss as one module: backbone, head, projection and distillation.

One module, so that data-parallel wrappers see every parameter in one forward pass.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from pocketface.distill.losses import DistillationLoss, mean_cosine
from pocketface.distill.projection import Projection
from pocketface.distill.teacher import Outputs
from pocketface.heads import MarginHead, ShardedHead, leave_to_itself
from pocketface.models.backbone import Backbone


class Objective(nn.Module):
    """Loss terms of a batch by name; the training loss is their sum.

    Attributes:
        backbone: the student.
        head: the margin-softmax classifier, whole or this process's part of it; None where the
            distillation is all there is.
        distillation: what a teacher adds, or None.
        projection: what brings embeddings of student and teacher to one size for the distillation;
            None where they have it.

    `compiled` has torch.compile make one program of the backbone's forward and backward pass: the
    same function, with other roundings. It is compiled at the first step. With "graphs" the kernels
    of each pass are recorded as a CUDA graph, and a step starts them all at once: a small network
    on a large GPU otherwise waits for Python to start its thousands of kernels one by one. What the
    backbone gives lies in the graph's memory and holds until the next step.

    Raises:
        ValueError: if there is neither head nor distillation.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: MarginHead | ShardedHead | None,
        distillation: DistillationLoss | None = None,
        projection: Projection | None = None,
        *,
        compiled: Literal[False, True, "graphs"] = False,
    ) -> None:
        super().__init__()
        if head is None and distillation is None:
            raise ValueError("a training loss needs a head, or a distillation loss, or both.")
        self.backbone = backbone
        self.head = head
        self.distillation = distillation
        self.projection = projection
        leave_to_itself(self)
        # Of the bound method: a compiled module would be a second owner of the parameters.
        stages = backbone.forward_stages
        self._forward_stages: Callable[[Tensor], tuple[Tensor, list[Tensor]]] = stages
        self._graphs = compiled == "graphs"
        if self._graphs:
            self._forward_stages = torch.compile(stages, dynamic=False, mode="reduce-overhead")
        elif compiled:
            self._forward_stages = torch.compile(stages, dynamic=False)

    def forward(
        self,
        inputs: Tensor,
        labels: Tensor,
        teacher: Outputs | None = None,
        weight: float = 1.0,
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Loss terms, and the mean cosine to the teacher for the log, where it can be taken.

        Args:
            inputs: float (N, 3, S, S), normalised.
            labels: int64 (N,).
            teacher: what the teacher gave for the same batch; needed if it is to teach.
            weight: what a mean over these images counts for in the mean over processes. A term
                that gathers the images of all processes is the same in each and takes none.
        """
        student = self._student(inputs)
        terms: dict[str, Tensor] = {}
        if self.head is not None:
            own = 1.0 if self.head.gathers else weight
            terms["margin"] = self.head(student.embeddings, labels) * own
        if self.distillation is None or teacher is None:
            return terms, None
        if self.projection is not None:
            student, teacher = self.projection(student, teacher)
        lessons = self.distillation(student, teacher, labels)
        own = 1.0 if self.distillation.gathers else weight
        terms |= {name: term * own for name, term in lessons.items()}
        if student.embeddings.shape != teacher.embeddings.shape:
            return terms, None
        return terms, mean_cosine(student.embeddings.detach(), teacher.embeddings) * weight

    def _student(self, inputs: Tensor) -> Outputs:
        if self._graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        embeddings, stages = self._forward_stages(inputs)
        if self.distillation is not None and self.distillation.needs_stages:
            return Outputs(embeddings, tuple(stages))
        return Outputs(embeddings)
