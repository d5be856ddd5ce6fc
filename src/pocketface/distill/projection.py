"""What stands between the embeddings of a student and its teacher; all three ways are ours.

Two join different sizes, and one moves the teacher's embeddings of one size.

"learned": a linear map of the student's embedding to the teacher's size, trained with the student.
It fits any two sizes and a teacher that changes from epoch to epoch. But the student is then right
up to that map, and the map is not part of its weights: the cosines of its own embeddings need not
be the teacher's. Have a margin head beside it.

"pca": the teacher's unit embeddings in the subspace of the student's size that holds most of their
squared length, found by least squares on a sample of the training set before the run. Their cosines
stay nearly what they were, so the student's own embeddings are right as they are. The teacher must
have the larger embedding, and be the same throughout.

"centred": the teacher's unit embeddings less their mean on such a sample; sizes are equal. Where
the teacher finds all images alike, as real teachers find synthetic faces, that mean is most of
every embedding, and a student that gives nothing but the mean is nearly right; without it the
student has to tell people apart from the first step (docs/results.md).
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


class FittedProjection(Projection):
    """A projection of the teacher alone, fitted to a sample of its embeddings before it is used.

    Attributes:
        fitted: whether it was.
    """

    fitted: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    @abstractmethod
    def fit(self, mean: Tensor, moment: Tensor) -> None:
        """Fit it to the means of x (D,) and x x^T (D, D), x being the teacher's unit embeddings."""

    @abstractmethod
    def moved(self, directions: Tensor) -> Tensor:
        """What becomes of the teacher's unit embeddings (N, D)."""

    def forward(self, student: Outputs, teacher: Outputs) -> tuple[Outputs, Outputs]:
        """See Projection; the student's outputs stay as they are."""
        with torch.autocast(teacher.embeddings.device.type, enabled=False):
            return student, Outputs(self.moved(unit(teacher.embeddings)), teacher.stages)


class CentredProjection(FittedProjection):
    """The teacher's unit embedding less the mean of the teacher's unit embeddings.

    Args:
        size: D of both networks.
    """

    mean: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))

    def fit(self, mean: Tensor, moment: Tensor) -> None:
        """See FittedProjection; the second moment is not needed."""
        self.mean.copy_(mean)
        self.fitted.fill_(True)

    def moved(self, directions: Tensor) -> Tensor:
        """See FittedProjection."""
        return directions - self.mean

    @property
    def told(self) -> str:
        """See Projection."""
        length = float(torch.linalg.vector_norm(self.mean))
        return f"it follows the teacher's directions less their mean, which is {length:.2f} long"


class PrincipalProjection(FittedProjection):
    """The teacher's unit embedding in the directions that hold most of the teacher's embeddings.

    Directions are those of the uncentred second moment, since cosines are taken from the origin.

    Args:
        student_size: D of the student.
        teacher_size: D of the teacher, not smaller.

    Attributes:
        kept: the share of the sample's squared length that the directions hold.
    """

    basis: Tensor
    kept: Tensor

    def __init__(self, student_size: int, teacher_size: int) -> None:
        super().__init__()
        if student_size > teacher_size:
            raise ValueError(
                f"student_size must be at most {teacher_size}, the teacher's. "
                f"Got {student_size} instead."
            )
        self.register_buffer("basis", torch.zeros(teacher_size, student_size))
        self.register_buffer("kept", torch.zeros(()))

    def fit(self, mean: Tensor, moment: Tensor) -> None:
        """Take the principal directions of `moment`; the mean is not needed.

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

    def moved(self, directions: Tensor) -> Tensor:
        """See FittedProjection."""
        return directions @ self.basis

    @property
    def told(self) -> str:
        """See Projection."""
        theirs, ours = self.basis.shape
        return (
            f"its {ours} numbers follow the {ours} principal directions of the teacher's {theirs}, "
            f"which hold {float(self.kept):.1%} of them"
        )
