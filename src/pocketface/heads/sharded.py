"""A margin-softmax head whose classes are spread over processes, with sampled negative centres.

Source: PartialFC (An et al., CVPR 2022). With one process, or with nothing sampled, it is the head
of `heads.margin` to the rounding of its numbers.
"""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pocketface.heads.margin import SPREAD, check_arguments
from pocketface.heads.sampling import NegativeSampler
from pocketface.heads.shard import draw_rows, join_rows, own_shard, split_rows
from pocketface.heads.sharded_softmax import Question, sharded_cross_entropy
from pocketface.parallel import gather, row_counts

Target = Callable[[Tensor, float], Tensor]
"""Lowers cosines (m,) to the true classes by a margin: `additive_angle` or `additive_cosine`."""

_ELSEWHERE = -1
"""The column of a class whose centre stands in another process."""


class ShardedHead(nn.Module):
    """A classifier over people of which each process holds a contiguous range.

    A process's own centres are the rows of `centres`, float32 (c, D), of about C / processes
    classes. The embeddings and labels of all processes are brought together, each process compares
    them with its own centres, and the loss is that over all classes and all labelled images, the
    same in each process.

    With `sample` below 1 the training loss is the softmax over the classes of the global batch and
    drawn others; see NegativeSampler. The gradient of `centres` is then sparse, and holds the rows
    that took part; `train.row_sgd` says what happens to the others. Outside of training mode
    nothing is sampled.

    The gradient of `centres` is complete in its process: data parallelism must not average it. Call
    `leave_to_itself` on the module that is to be wrapped.

    Args:
        embedding_size: D.
        classes: C, the number of people of all processes.
        target: the kind of margin.
        scale: s, by which the cosines are multiplied.
        margin: m.
        sample: the share of the classes that takes part in a step, in (0, 1]; 1 samples nothing.
        seed: of the draws.
        generator: source of the initial centres, the same in all processes; they are the numbers
            that a MarginHead would draw.

    Attributes:
        step: which step comes next, counted over the whole run: the draws depend on it.

    Raises:
        ValueError: if an argument lies outside its range.
    """

    gathers: ClassVar[bool] = True

    def __init__(
        self,
        embedding_size: int,
        classes: int,
        *,
        target: Target,
        scale: float,
        margin: float,
        sample: float = 1.0,
        seed: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_arguments(embedding_size, classes, scale, margin)
        self.shard = own_shard(classes)
        self.target = target
        self.scale = scale
        self.margin = margin
        self.sampler = NegativeSampler(sample, seed)
        self.step = 0
        self.centres = nn.Parameter(draw_rows(self.shard, embedding_size, SPREAD, generator))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy over the labelled images of all processes, a scalar.

        All processes must call this together. Images with label -1, of nobody known, are left out;
        without any other it is 0.

        Args:
            embeddings: (n, D) of this process's images, any float type, not normalised.
            labels: int64 (n,) in [-1, C).

        Raises:
            ValueError: if a label of any process is not below C.
        """
        counts = row_counts(labels)
        everyone = gather(labels, counts)
        people = everyone.cpu().numpy()
        if len(people) and people.max() >= self.shard.classes:
            raise ValueError(
                f"labels must be below the number of classes, {self.shard.classes}. "
                f"Got {people.max()} instead."
            )
        chosen: Tensor | None = None
        if self.training and self.sampled:
            shown = np.unique(people[people >= 0])
            drawn = self.sampler.draw(self.shard, shown, self.step)
            columns = np.searchsorted(drawn, people)
            chosen = torch.from_numpy(drawn - self.shard.first).to(embeddings.device)
        else:
            columns = people - self.shard.first
        columns[(people < self.shard.first) | (people >= self.shard.end)] = _ELSEWHERE
        question = Question(
            labels=everyone,
            columns=columns,
            counts=counts,
            chosen=chosen,
            scale=self.scale,
            target=self._lowered,
        )
        return sharded_cross_entropy(embeddings, self.centres, question)

    def _lowered(self, cosine: Tensor) -> Tensor:
        return self.target(cosine, self.margin)

    @property
    def sampled(self) -> bool:
        """Whether a step of training looks at some of the centres only."""
        return self.sampler.share < 1

    def whole(self, rows: Tensor | None = None) -> Tensor | None:
        """The `kernel` (D, C) of all processes, in the first one's main memory; None in the others.

        With `rows` (c, D), numbers that belong to the centres such as their momentum, the whole of
        those. All processes must call this together.
        """
        return join_rows(self.centres if rows is None else rows, self.shard.classes)

    def own(self, whole: Tensor) -> Tensor:
        """The rows (c, D) of this process in a whole (D, C).

        Raises:
            ValueError: if `whole` is not of that shape.
        """
        wanted = self.centres.shape[1], self.shard.classes
        if whole.shape != wanted:
            raise ValueError(f"a kernel of shape {wanted} was expected. Got {tuple(whole.shape)}.")
        return split_rows(whole, self.shard)

    def load_whole(self, kernel: Tensor) -> None:
        """Take over this process's centres from a whole `kernel` (D, C).

        Raises:
            ValueError: as `own`.
        """
        with torch.no_grad():
            self.centres.copy_(self.own(kernel))


def leave_to_itself(module: nn.Module) -> None:
    """Have data parallelism leave the centres of any ShardedHead within `module` as they are.

    To be called before `module` is wrapped.
    """
    names = [
        f"{name}.centres" if name else "centres"
        for name, part in module.named_modules()
        if isinstance(part, ShardedHead)
    ]
    if names:
        # Torch's own way to do it; it is to get another name once its form is settled.
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(  # type: ignore[no-untyped-call]
            module, names
        )
