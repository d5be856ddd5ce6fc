"""Cross-entropy over scaled cosines to centres that are spread over processes.

Shapes: n images of this process, N of all processes, D numbers of an embedding, c centres of this
process, k of them that take part in the step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from pocketface.parallel import gather, own_rows, world_size

BLOCK = 2**24
"""How many logits, or numbers of centres, are worked on at a time: 64 MiB in float32."""

LOGITS = 2**27
"""How many logits are kept for the gradient: 512 MiB in float32. If there are more, none is kept,
and they are computed twice."""

_SHORTEST = 1e-12
"""The length below which a vector is not brought to unit length, as in torch's normalize."""


@dataclass(frozen=True)
class Question:
    """What is asked of the centres in one step, beside the embeddings.

    Attributes:
        labels: int64 (N,) of all processes, on their device; -1 is left out of the mean.
        columns: int64 (N,), where among the centres that take part here the true class stands, or
            -1 if it does not stand here.
        counts: images of each process.
        chosen: int64 (k,), rows of the centres that take part, rising; None takes them all.
        scale: s.
        target: lowers a cosine to the true class by the margin.
    """

    labels: Tensor
    columns: npt.NDArray[np.int64]
    counts: list[int]
    chosen: Tensor | None
    scale: float
    target: Callable[[Tensor], Tensor]


def sharded_cross_entropy(embeddings: Tensor, centres: Tensor, question: Question) -> Tensor:
    """Mean cross-entropy over the labelled images of all processes, the same in each.

    All processes must call this together. The gradient of `embeddings` (n, D) is that of this
    loss, summed over the processes' centres, times the number of processes: data parallelism takes
    the mean of the processes' gradients. That of `centres` (c, D) is of this loss as it is, and
    must not be averaged; it is sparse where `question.chosen` names rows.

    Where a gradient is wanted it is computed here, while the logits are at hand: no collective
    operation is left for the backward pass, in which those of data parallelism run.
    """
    loss: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
        embeddings, centres, question, torch.is_grad_enabled()
    )
    return loss


class _CrossEntropy(torch.autograd.Function):
    """See `sharded_cross_entropy`."""

    @staticmethod
    def forward(
        ctx: Any, embeddings: Tensor, centres: Tensor, question: Question, learning: bool
    ) -> Tensor:
        """The loss, and the gradients for later."""
        with torch.autocast(device_type=embeddings.device.type, enabled=False):
            work = _Shard(embeddings, centres, question, learning)
            loss = work.loss()
            ctx.gradients = work.gradients() if learning else None
        ctx.whole = centres.shape
        ctx.chosen = question.chosen
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """The gradients, times that of the loss."""
        if ctx.gradients is None:
            raise RuntimeError("the gradient of this loss was taken already; it is kept for once.")
        embeddings, rows = (each.mul_(upstream[0]) for each in ctx.gradients)
        ctx.gradients = None
        if ctx.chosen is not None:
            rows = torch.sparse_coo_tensor(
                ctx.chosen.unsqueeze(0), rows, ctx.whole, is_coalesced=True, check_invariants=False
            )
        return embeddings, rows, None, None


class _Shard:
    """The work of one process on one batch."""

    def __init__(
        self, embeddings: Tensor, centres: Tensor, question: Question, learning: bool
    ) -> None:
        wide = torch.promote_types(embeddings.dtype, torch.float32)
        chosen = question.chosen
        self.question = question
        self.dtypes = embeddings.dtype, centres.dtype
        self.rows = centres.detach() if chosen is None else centres.detach().index_select(0, chosen)
        everyone = gather(embeddings, question.counts).to(wide)
        self.lengths = everyone.norm(dim=1, keepdim=True).clamp_min_(_SHORTEST)
        self.units = everyone / self.lengths
        self.known = question.labels >= 0
        self.images = self.known.sum().clamp_min(1)
        self.at_once = max(1, BLOCK // max(1, *everyone.shape))
        self.keep = learning and len(everyone) * len(self.rows) <= LOGITS
        self.kept: list[tuple[Tensor, Tensor]] = []
        # The images whose true class stands here, in the order of their classes.
        here = np.flatnonzero(question.columns >= 0)
        here = here[np.argsort(question.columns[here], kind="stable")]
        self.sorted_columns = question.columns[here]
        device = embeddings.device
        self.here = torch.from_numpy(here).to(device)
        self.columns = torch.from_numpy(self.sorted_columns).to(device)
        self.targets, self.slopes = self._targets()

    def _targets(self) -> tuple[Tensor, Tensor]:
        """Logits to the true classes that stand here, and their slopes by the cosine over s."""
        own = F.normalize(self.rows[self.columns].to(self.units.dtype), dim=1)
        cosine = (self.units[self.here] * own).sum(1).clamp_(-1.0, 1.0)
        with torch.enable_grad():
            lowered = self.question.target(cosine.requires_grad_())
            (slopes,) = torch.autograd.grad(lowered.sum(), cosine)
        return self.question.scale * lowered.detach(), slopes

    def _blocks(self) -> Iterator[tuple[slice, slice]]:
        """Columns of a block, and which of `here` have their true class among them."""
        for start in range(0, len(self.rows), self.at_once):
            end = min(start + self.at_once, len(self.rows))
            first, last = np.searchsorted(self.sorted_columns, (start, end)).tolist()
            yield slice(start, end), slice(first, last)

    def _centres(self, block: slice) -> tuple[Tensor, Tensor]:
        """Centres (b, D) at unit length, and the lengths they had (b, 1)."""
        rows = self.rows[block].to(self.units.dtype)
        lengths = rows.norm(dim=1, keepdim=True).clamp_min_(_SHORTEST)
        return rows / lengths, lengths

    def _logits(self, block: slice, here: slice, centres: Tensor) -> Tensor:
        logits: Tensor = (self.question.scale * self.units) @ centres.T
        logits[self.here[here], self.columns[here] - block.start] = self.targets[here]
        return logits

    def loss(self) -> Tensor:
        """The mean cross-entropy; what the gradients need is kept."""
        images = len(self.units)
        highest = self.units.new_full((images,), -torch.inf)
        total = self.units.new_zeros(images)
        for block, here in self._blocks():
            logits = self._logits(block, here, self._centres(block)[0])
            higher = torch.maximum(highest, logits.amax(1))
            total *= (highest - higher).exp()
            total += logits.sub_(higher.unsqueeze(1)).exp_().sum(1)
            if self.keep:
                self.kept.append((logits, higher))
            highest = higher
        of_all = highest.clone()  # `kept` holds the tensor itself
        _all_reduce(of_all, "max")
        sums = torch.stack([total * (highest - of_all).exp(), torch.zeros_like(total)])
        sums[1, self.here] = self.targets
        _all_reduce(sums, "sum")
        self.log_total = of_all + sums[0].log()
        losses = torch.where(self.known, self.log_total - sums[1], 0.0)
        mean: Tensor = losses.sum() / self.images
        return mean

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Of the embeddings (n, D), for data parallelism, and of the rows (k, D)."""
        weights = self.question.scale * self.known.to(self.units.dtype) / self.images
        of_units = torch.zeros_like(self.units)
        of_rows = torch.empty(self.rows.shape, dtype=self.dtypes[1], device=self.rows.device)
        self.kept.reverse()
        for block, here in self._blocks():
            centres, lengths = self._centres(block)
            if self.keep:
                slopes, highest = self.kept.pop()
                slopes *= ((highest - self.log_total).exp() * weights).unsqueeze(1)
            else:
                slopes = self._logits(block, here, centres)
                slopes = slopes.sub_(self.log_total.unsqueeze(1)).exp_().mul_(weights.unsqueeze(1))
            images, columns = self.here[here], self.columns[here] - block.start
            slopes[images, columns] -= weights[images]
            slopes[images, columns] *= self.slopes[here]
            of_units += slopes @ centres
            of_rows[block] = _along_sphere(slopes.T @ self.units, centres, lengths)
        _all_reduce(of_units, "sum")
        own = own_rows(self.question.counts)
        of_own = _along_sphere(of_units[own], self.units[own], self.lengths[own]) * world_size()
        return of_own.to(self.dtypes[0]), of_rows


def _along_sphere(gradients: Tensor, units: Tensor, lengths: Tensor) -> Tensor:
    """From the gradient of unit vectors (m, D) to that of the vectors they were made of.

    That a cosine of more than one by rounding counts as one needs no care here: where vectors are
    parallel the gradient vanishes.
    """
    inward = (gradients * units).sum(1, keepdim=True)
    return torch.addcmul(gradients, units, inward, value=-1.0).div_(lengths)


def _all_reduce(tensor: Tensor, how: str) -> None:
    if world_size() > 1:
        dist.all_reduce(tensor, dist.ReduceOp.MAX if how == "max" else dist.ReduceOp.SUM)
