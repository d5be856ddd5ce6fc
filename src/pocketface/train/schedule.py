"""The optimiser's settings and how the learning rate moves."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class OptimiserConfig(BaseModel):
    """SGD; the defaults are PocketNet's.

    The rate in force at the start is `learning_rate` x global batch / `reference_batch`, so one
    recipe holds for any number of processes. `clip_norm` bounds the gradient norm of the
    backbone, never of the head; 0 turns it off.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(default=0.1, gt=0)
    reference_batch: int = Field(default=512, ge=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)
    clip_norm: float = Field(default=5.0, ge=0)


class StepSchedule(BaseModel):
    """The rate is multiplied by `factor` at the start of each epoch (0-based) in `milestones`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["step"] = "step"
    milestones: tuple[int, ...] = (7, 13, 19, 24)
    factor: float = Field(default=0.1, gt=0, le=1)
    warm_up_epochs: float = Field(default=0, ge=0)

    def decay(self, progress: float, epochs: int) -> float:
        """The share of the starting rate in force after `progress` epochs."""
        return self.factor ** sum(progress >= milestone for milestone in self.milestones)


class CosineSchedule(BaseModel):
    """Half a cosine from the starting rate down to `floor` times it, moved at every step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["cosine"]
    floor: float = Field(default=0.0, ge=0, le=1)
    warm_up_epochs: float = Field(default=0, ge=0)

    def decay(self, progress: float, epochs: int) -> float:
        """The share of the starting rate in force after `progress` epochs."""
        way = min(1.0, max(0.0, progress - self.warm_up_epochs) / (epochs - self.warm_up_epochs))
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * way)) / 2


ScheduleConfig = Annotated[StepSchedule | CosineSchedule, Field(discriminator="kind")]


def learning_rate(
    optimiser: OptimiserConfig,
    schedule: StepSchedule | CosineSchedule,
    *,
    progress: float,
    epochs: int,
    global_batch: int,
) -> float:
    """The learning rate after `progress` epochs (a float: steps count) of `epochs`."""
    rate = optimiser.learning_rate * global_batch / optimiser.reference_batch
    if progress < schedule.warm_up_epochs:
        return rate * progress / schedule.warm_up_epochs
    return rate * schedule.decay(progress, epochs)
