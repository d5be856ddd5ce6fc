"""EKD: the student ranks pairs against operating thresholds as its teacher does.

Source: Evaluation-oriented knowledge distillation (Huang et al., CVPR 2022): the false positive
rates, the steepness and the weights are the paper's. The moving average's momentum, the mean over
pairs and the choice of the hardest negatives by the student are ours.
"""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pocketface.distill.config import DistillConfig, Partners
from pocketface.distill.losses import DistillationLoss, unit
from pocketface.distill.teacher import Outputs
from pocketface.parallel.gather import gather_rows

RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)

Rate = Annotated[float, Field(gt=0, lt=1)]


class EKDConfig(DistillConfig):
    """EKD in a recipe: a teacher's ranks beside the recipe's head.

    Half of each batch are groups of one person (`sampler.balanced_share` says otherwise), since a
    batch drawn plainly has hardly a pair of one person. Embeddings of the two networks are never
    compared with each other, so their sizes may differ.
    """

    balanced_share: ClassVar[float] = 0.5
    compares_sizes: ClassVar[bool] = False

    loss: Literal["ekd"]
    positive_weight: float = Field(default=0.02, ge=0)
    negative_weight: float = Field(default=0.01, ge=0)
    hardest: int = Field(default=2000, ge=1)
    false_positive_rates: tuple[Rate, ...] = Field(default=RATES, min_length=1)
    temperature: float = Field(default=0.01, gt=0)
    momentum: float = Field(default=0.99, ge=0, lt=1)

    def create_loss(self, partners: Partners) -> "RankAgreement":
        """Build the loss."""
        return RankAgreement(
            positive_weight=self.positive_weight,
            negative_weight=self.negative_weight,
            hardest=self.hardest,
            rates=self.false_positive_rates,
            temperature=self.temperature,
            momentum=self.momentum,
        )


class RankAgreement(DistillationLoss):
    """Mean squared difference of two networks' ranks of a pair, over pairs of a batch.

    A network's rank of a pair is the number of its thresholds that the pair's cosine passes, made
    smooth: the sum of sigmoid((cosine - threshold) / temperature). Its thresholds are the cosines
    that given shares of pairs of two people exceed, kept as a moving average over batches; a share
    that is less than one pair of a batch takes the highest cosine. All pairs of one person count,
    and of those of two people the `hardest` that the student finds most alike.

    The batch is that of all processes. Thresholds move in training mode only; they have no
    gradient.

    Args:
        positive_weight: of the term of pairs of one person.
        negative_weight: of the term of pairs of two.
        hardest: how many pairs of two people count.
        rates: the shares.
        temperature: see above.
        momentum: what a threshold keeps of itself at each batch; the first batch sets it.
    """

    gathers = True

    student_thresholds: Tensor
    teacher_thresholds: Tensor
    started: Tensor

    def __init__(
        self,
        *,
        positive_weight: float = 0.02,
        negative_weight: float = 0.01,
        hardest: int = 2000,
        rates: tuple[float, ...] = RATES,
        temperature: float = 0.01,
        momentum: float = 0.99,
    ) -> None:
        super().__init__()
        self.positive_weight = positive_weight
        self.negative_weight = negative_weight
        self.hardest = hardest
        self.rates = rates
        self.temperature = temperature
        self.momentum = momentum
        self.register_buffer("student_thresholds", torch.zeros(len(rates)))
        self.register_buffer("teacher_thresholds", torch.zeros(len(rates)))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor) -> dict[str, Tensor]:
        """Terms `ekd_positive` and `ekd_negative`; zero where the batch has no such pair."""
        ours, theirs, people = gather_rows(
            unit(student.embeddings), unit(teacher.embeddings), labels
        )
        first, second = torch.triu_indices(len(people), len(people), 1, device=people.device)
        same = people[first] == people[second]
        with torch.autocast(ours.device.type, enabled=False):
            pairs = [(each @ each.T)[first, second] for each in (ours, theirs)]
        negatives = [each[~same] for each in pairs]
        if self.training:
            self._move_thresholds(*negatives)
        chosen = negatives[0].detach().topk(min(self.hardest, len(negatives[0]))).indices
        positive = self._disagreement(pairs[0][same], pairs[1][same])
        negative = self._disagreement(negatives[0][chosen], negatives[1][chosen])
        return {
            "ekd_positive": self.positive_weight * positive,
            "ekd_negative": self.negative_weight * negative,
        }

    def _disagreement(self, ours: Tensor, theirs: Tensor) -> Tensor:
        apart = self._rank(ours, self.student_thresholds)
        apart = apart - self._rank(theirs, self.teacher_thresholds)
        return apart.square().sum() / max(1, len(apart))

    def _rank(self, cosines: Tensor, thresholds: Tensor) -> Tensor:
        return ((cosines.unsqueeze(1) - thresholds) / self.temperature).sigmoid().sum(1)

    @torch.no_grad()
    def _move_thresholds(self, ours: Tensor, theirs: Tensor) -> None:
        count = len(ours)
        if count == 0:
            return
        above = torch.tensor([int(rate * count) for rate in self.rates], device=ours.device)
        kept = self.momentum * self.started.to(self.student_thresholds.dtype)
        for thresholds, cosines in (
            (self.student_thresholds, ours),
            (self.teacher_thresholds, theirs),
        ):
            now = cosines.sort(descending=True).values[above].to(thresholds.dtype)
            thresholds.copy_(kept * thresholds + (1 - kept) * now)
        self.started.fill_(True)
