"""AdaDistill: a margin softmax whose class centres are distilled from the teacher, not trained.

Source: AdaDistill (Boutros et al.), whose rule for the centres and whose scale and margins these
are. That centres and teacher embeddings are of unit length when they are mixed is our choice.
"""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pocketface.distill.config import DistillConfig, Partners
from pocketface.distill.losses import DistillationLoss, unit
from pocketface.distill.teacher import Outputs
from pocketface.heads.margin import ArcFace, CosFace, MarginHead
from pocketface.parallel.gather import gather_rows

Kind = Literal["arcface", "cosface"]

_HEADS: dict[Kind, tuple[type[MarginHead], float]] = {
    "arcface": (ArcFace, 0.45),
    "cosface": (CosFace, 0.35),
}
"""The heads, and the margins that the paper uses with them."""

LEAST = 1e-6
"""What a centre keeps of itself at least."""


class AdaDistillConfig(DistillConfig):
    """AdaDistill in a recipe; it takes the place of the recipe's head, and has no weight to tune.

    `margin` is the paper's for the kind if none is given: 0.45 for ArcFace, 0.35 for CosFace.
    `by_centre` has the share that a centre keeps depend on how well it agrees with the teacher.
    """

    replaces_head: ClassVar[bool] = True

    loss: Literal["adadistill"]
    kind: Kind = "arcface"
    scale: float = Field(default=64.0, gt=0)
    margin: float | None = Field(default=None, ge=0, lt=1.57)
    by_centre: bool = True

    def create_loss(self, partners: Partners) -> "AdaDistill":
        """Build the loss for the people of the training set."""
        return AdaDistill(
            partners.embedding_size,
            partners.people,
            kind=self.kind,
            scale=self.scale,
            margin=self.margin,
            by_centre=self.by_centre,
        )


class AdaDistill(DistillationLoss):
    """Margin softmax of the student's embeddings against centres that follow the teacher.

    For each image of person y, with f_s and f_t the student's and the teacher's embedding, the
    centre becomes w_y <- a w_y + (1 - a) f_t with a = cos(f_s, f_t) x cos(w_y, f_t), clipped to
    [1e-6, 1]; without `by_centre` a is cos(f_s, f_t) alone. Early the student agrees with nothing,
    and a centre is the teacher's embedding of the last image seen; later it is a mean in which an
    image that the teacher finds odd counts little.

    Images are taken one after the other in the order of the batch, those of all processes in the
    order of their ranks, and the loss is that against the moved centres. A centre begins as zeros,
    which no embedding resembles, so that a person's first image sets it. Centres move in training
    mode only.

    Args:
        embedding_size: D.
        people: C.
        kind: the margin softmax.
        scale: s.
        margin: m; None takes the paper's.
        by_centre: see above.

    Raises:
        ValueError: as the head of this kind.
    """

    def __init__(
        self,
        embedding_size: int,
        people: int,
        *,
        kind: Kind = "arcface",
        scale: float = 64.0,
        margin: float | None = None,
        by_centre: bool = True,
    ) -> None:
        super().__init__()
        head, papers_own = _HEADS[kind]
        self.by_centre = by_centre
        self.classifier = head(
            embedding_size,
            people,
            scale=scale,
            margin=papers_own if margin is None else margin,
            generator=torch.Generator(),
        )
        self.classifier.kernel.requires_grad_(False).zero_()

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor) -> dict[str, Tensor]:
        """One term, `adadistill`; see DistillationLoss."""
        if self.training:
            self._move_centres(student.embeddings, teacher.embeddings, labels)
        return {"adadistill": self.classifier(student.embeddings, labels)}

    @torch.no_grad()
    def _move_centres(self, student: Tensor, teacher: Tensor, labels: Tensor) -> None:
        kernel = self.classifier.kernel
        ours, theirs, people = gather_rows(unit(student), unit(teacher), labels)
        agreement = (ours * theirs).sum(1)
        # All first images of a person move their centres at once, then all second ones, ...
        same = people.unsqueeze(1) == people.unsqueeze(0)
        earlier = same.tril(-1).sum(1)
        for turn in range(int(earlier.max()) + 1):
            rows = earlier == turn
            chosen, target = people[rows], theirs[rows].to(kernel.dtype)
            centres = kernel[:, chosen].T
            kept = agreement[rows]
            if self.by_centre:
                kept = kept * (centres * target).sum(1)
            kept = kept.clamp(LEAST, 1.0).unsqueeze(1).to(kernel.dtype)
            kernel[:, chosen] = F.normalize(kept * centres + (1.0 - kept) * target, dim=1).T
