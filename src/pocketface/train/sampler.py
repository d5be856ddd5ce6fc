"""Which images make up each batch: a permutation, and where asked for whole groups of a person.

All is drawn from (seed, epoch, step) for the batch of all processes together, so it is the same
however many there are, and a resumed run needs no stored random state.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from pocketface.errors import RecipeError

Indices = npt.NDArray[np.int64]

_GROUPS = 1
"""What tells the groups' random numbers from those of the augmentation of the same step."""


class SamplerConfig(BaseModel):
    """How batches are put together.

    `balanced_share` of each batch are groups of `per_person` images, each of another person, all
    people with so many images equally likely; the rest comes from a permutation of the whole set.
    An epoch keeps its number of steps, so that its cost is the same; of the permutation it then
    sees the beginning.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    balanced_share: float | None = Field(
        default=None, ge=0, le=1, description="none: what the loss asks for: half for EKD, else 0"
    )
    per_person: int = Field(default=4, ge=2)


class Sampler:
    """Draws the batches of any epoch, from any step on.

    Args:
        labels: int64 (N,), who is on each image; below 0: nobody knows.
        global_batch: images of a batch, over all processes.
        seed: of everything that is drawn.
        balanced_share: see SamplerConfig.
        per_person: see SamplerConfig.

    Raises:
        RecipeError: if groups are asked for, and a batch is smaller than one or too few people
            have enough images.
    """

    def __init__(
        self,
        labels: Indices,
        global_batch: int,
        seed: int,
        balanced_share: float = 0.0,
        per_person: int = 4,
    ) -> None:
        self.images = len(labels)
        self.global_batch = global_batch
        self.seed = seed
        self.per_person = per_person
        self.groups = 0
        if balanced_share == 0:
            return
        wanted = max(1, round(global_batch * balanced_share / per_person))
        self.groups = min(wanted, global_batch // per_person)
        if self.groups == 0:
            raise RecipeError(
                f"a batch of {global_batch} images cannot hold groups of "
                f"sampler.per_person: {per_person}. Lower it, or raise batch_size."
            )
        known = labels[labels >= 0]
        counts = np.bincount(known)
        self._people = np.flatnonzero(counts >= per_person)
        if len(self._people) < self.groups:
            raise RecipeError(
                f"{len(self._people)} people have at least {per_person} images, and each batch "
                f"takes such groups of {self.groups} people (sampler.balanced_share: "
                f"{balanced_share}). Lower sampler.per_person or sampler.balanced_share."
            )
        # Of person p: self._order[self._starts[p] : self._starts[p + 1]].
        self._order = np.argsort(labels, kind="stable")[len(labels) - len(known) :]
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    @property
    def steps(self) -> int:
        """Steps per epoch; images that do not fill a last batch wait for another epoch."""
        return self.images // self.global_batch

    def batches(self, epoch: int, start: int = 0) -> Iterator[Indices]:
        """The images of each batch of `epoch` (0-based), int64 (global_batch,), from a step on."""
        order = np.random.default_rng((self.seed, epoch)).permutation(self.images)
        plain = self.global_batch - self.groups * self.per_person
        for step in range(start, self.steps):
            rest = order[step * plain : (step + 1) * plain]
            yield rest if self.groups == 0 else self._with_groups(rest, epoch, step)

    def _with_groups(self, rest: Indices, epoch: int, step: int) -> Indices:
        rng = np.random.default_rng((self.seed, epoch, step + 1, _GROUPS))
        people = rng.choice(self._people, self.groups, replace=False)
        starts, ends = self._starts[people], self._starts[people + 1]
        groups = [
            start + rng.choice(end - start, self.per_person, replace=False)
            for start, end in zip(starts, ends, strict=True)
        ]
        batch = np.concatenate([rest, self._order[np.concatenate(groups)]])
        # Shuffled, so that each process has its part of the groups.
        return rng.permutation(batch)
