"""Joining a student and a teacher whose embeddings have different sizes; both ways are ours.

"learned": a linear map of the student's embedding to the teacher's size, trained with the student.
It fits any two sizes and a teacher that changes from epoch to epoch. But the student is then right
up to that map, and the map is not part of its weights: the cosines of its own embeddings need not
be the teacher's. Have a margin head beside it.

"pca": the teacher's unit embeddings in the subspace of the student's size that holds most of their
squared length, found by least squares on a sample of the training set before the run. Their cosines
stay nearly what they were, so the student's own embeddings are right as they are. The teacher must
have the larger embedding, and be the same throughout.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from pocketface.distill.losses import unit
from pocketface.distill.teacher import Outputs


class Projection(nn.Module, ABC):
    """Brings the embeddings of a student and its teacher to one size."""

    @abstractmethod
    def forward(self, student: Outputs, teacher: Outputs) -> tuple[Outputs, Outputs]:
        """Both outputs with embeddings of one size; the stages' maps stay as they are."""

    @property
    @abstractmethod
    def told(self) -> str:
        """What a card says of it."""


class LearnedProjection(Projection):
    """The student's embedding times a matrix that is trained with the student.

    Args:
        student_size: D of the student.
        teacher_size: D of the teacher.
        generator: source of the initial matrix.
    """

    def __init__(
        self, student_size: int, teacher_size: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        matrix = torch.empty(student_size, teacher_size)
        self.matrix = nn.Parameter(matrix.normal_(0, student_size**-0.5, generator=generator))

    def forward(self, student: Outputs, teacher: Outputs) -> tuple[Outputs, Outputs]:
        """See Projection."""
        wide = torch.promote_types(student.embeddings.dtype, torch.float32)
        with torch.autocast(student.embeddings.device.type, enabled=False):
            projected = student.embeddings.to(wide) @ self.matrix
        return Outputs(projected, student.stages), teacher

    @property
    def told(self) -> str:
        """See Projection."""
        ours, theirs = self.matrix.shape
        return (
            f"its {ours} numbers were compared with the teacher's {theirs} through a learned "
            "projection that is not part of these weights"
        )


class PrincipalProjection(Projection):
    """The teacher's unit embedding in the directions that hold most of the teacher's embeddings.

    Directions are those of the uncentred second moment, since cosines are taken from the origin. It
    must be fitted before it is used.

    Args:
        student_size: D of the student.
        teacher_size: D of the teacher, not smaller.

    Attributes:
        fitted: whether it was.
        kept: the share of the sample's squared length that the directions hold.
    """

    basis: Tensor
    fitted: Tensor
    kept: Tensor

    def __init__(self, student_size: int, teacher_size: int) -> None:
        super().__init__()
        if student_size > teacher_size:
            raise ValueError(
                f"student_size must be at most {teacher_size}, the teacher's. "
                f"Got {student_size} instead."
            )
        self.register_buffer("basis", torch.zeros(teacher_size, student_size))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))
        self.register_buffer("kept", torch.zeros(()))

    def fit(self, moment: Tensor) -> None:
        """Take the principal directions of `moment` (D, D), the sum of x x^T over unit rows x.

        Computed in float64 on the CPU. Each direction's largest number is made positive, so that
        nothing depends on the signs that a solver happens to give.
        """
        values, vectors = torch.linalg.eigh(moment.detach().double().cpu())
        size = self.basis.shape[1]
        basis = vectors[:, -size:].flip(1)
        largest = basis.gather(0, basis.abs().argmax(0, keepdim=True))
        self.basis.copy_(basis * largest.sign())
        self.kept.copy_(values[-size:].sum() / values.sum())
        self.fitted.fill_(True)

    def forward(self, student: Outputs, teacher: Outputs) -> tuple[Outputs, Outputs]:
        """See Projection."""
        with torch.autocast(teacher.embeddings.device.type, enabled=False):
            projected = unit(teacher.embeddings) @ self.basis
        return student, Outputs(projected, teacher.stages)

    @property
    def told(self) -> str:
        """See Projection."""
        theirs, ours = self.basis.shape
        return (
            f"its {ours} numbers follow the {ours} principal directions of the teacher's {theirs}, "
            f"which hold {float(self.kept):.1%} of them"
        )
