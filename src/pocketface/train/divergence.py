"""Noticing that a run has diverged, before its weights are saved."""

import math
import statistics
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import torch
from lightning_fabric import Fabric
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from pocketface.errors import TrainingError

RECENT = 10
"""Steps whose median loss is compared with the usual one: a single odd batch is no divergence."""

USUAL = 100
"""Steps before those, whose median loss is the usual one; half of them are enough to judge by."""


class DivergenceConfig(BaseModel):
    """What counts as divergence besides a loss that is no number, and what is done about it.

    A spike is a median loss of 10 steps beyond `spike` times the median of the 100 before them; the
    number is ours, and generous. `stop` ends the run. `back_off` goes back to the start of the
    epoch (of the one before, where that is too near), multiplies the learning rate by `factor` for
    the rest of the run, and does so at most `most` times. Either way the batch is kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    spike: float | None = Field(default=5.0, gt=1, description="none: only what is no number")
    action: Literal["stop", "back_off"] = "stop"
    factor: float = Field(default=0.5, gt=0, lt=1)
    most: int = Field(default=3, ge=1)


class Diverged(Exception):  # noqa: N818  (nothing that a user meets: the loop acts on it)
    """A run has diverged.

    Attributes:
        what: in words.
        since: the first step (counted from 1) whose loss cannot be trusted.
        spike: whether all numbers are finite yet.
    """

    def __init__(self, what: str, since: int, spike: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.since = since
        self.spike = spike


class LossWatch:
    """Judges the loss of every step; what it finds does not depend on when it is asked."""

    def __init__(self, spike: float | None) -> None:
        self.spike = spike
        self._losses: deque[float] = deque(maxlen=USUAL + RECENT)

    def see(self, losses: Sequence[float], last: int) -> None:
        """Take the losses of the steps up to step `last`, in order.

        Raises:
            Diverged: at the first step that is no number, or ends a spike.
        """
        for step, loss in enumerate(losses, last - len(losses) + 1):
            if not math.isfinite(loss):
                raise Diverged(f"the loss is {loss}", step)
            self._losses.append(loss)
            self._refuse_spike(step)

    def _refuse_spike(self, step: int) -> None:
        if self.spike is None or len(self._losses) < USUAL // 2 + RECENT:
            return
        losses = list(self._losses)
        recent = losses[-RECENT:]
        usual = statistics.median(losses[:-RECENT])
        level = statistics.median(recent)
        bound = self.spike * usual
        if usual > 0 and level > bound:
            first = next(place for place, loss in enumerate(recent) if loss > bound)
            raise Diverged(
                f"the loss rose to {level:.4g}, over {self.spike:g} times the usual {usual:.4g},",
                step - RECENT + 1 + first,
                spike=True,
            )

    def begin_anew(self) -> None:
        """Forget what is usual: from now on the loss means something else."""
        self._losses.clear()

    @property
    def losses(self) -> list[float]:
        """The newest losses, oldest first: what is needed to go on."""
        return list(self._losses)

    def restore(self, losses: Sequence[float]) -> None:
        """Take over what `losses` gave."""
        self._losses.clear()
        self._losses.extend(losses)


def refuse_broken_weights(module: nn.Module, step: int, fabric: Fabric) -> None:
    """Raise Diverged in all processes if in one of them a weight or statistic is not finite."""
    name = _not_finite(module)
    found = torch.tensor(float(name is not None), device=fabric.device)
    if float(fabric.all_reduce(found, reduce_op="max")) > 0:  # type: ignore[arg-type]
        where = name or "in another process"
        # Its own loss was finite; that of the next step would not be.
        raise Diverged(f"the weights hold numbers that are not finite ({where})", step + 1)


def _not_finite(module: nn.Module) -> str | None:
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return name
    return None


class Rates(Protocol):
    """The settings of an optimiser that a diverged run may be mended by."""

    @property
    def learning_rate(self) -> float:
        """The rate at the start."""

    @property
    def clip_norm(self) -> float:
        """The bound on the gradient's norm; 0 is none."""


def lower_rates(optimiser: Rates, section: str = "optimiser") -> str:
    """The advice to a diverged run; `section` of its settings holds `optimiser`."""
    return (
        f"Begin a new run with a lower {section}.learning_rate (now {optimiser.learning_rate}) or "
        f"a closer bound on the gradient, {section}.clip_norm (now {optimiser.clip_norm or 'none'})"
    )


def check_loss(loss: float, step: int, run: Path, optimiser: Rates, section: str) -> None:
    """Raise TrainingError if the loss is no finite number; `section` holds `optimiser`."""
    if not math.isfinite(loss):
        raise _diverged(f"the loss is {loss}", step, run, optimiser, section)


def check_weights(module: nn.Module, step: int, run: Path, optimiser: Rates, section: str) -> None:
    """Raise TrainingError if a parameter or running statistic is not finite.

    The loss tells of it one step late: by then the weights may have been saved.
    """
    name = _not_finite(module)
    if name is not None:
        what = f"the weights hold numbers that are not finite ({name})"
        raise _diverged(what, step, run, optimiser, section)


def _diverged(what: str, step: int, run: Path, optimiser: Rates, section: str) -> TrainingError:
    return TrainingError(
        f"{what} at step {step}. {lower_rates(optimiser, section)}. {run / 'last.ckpt'} is from "
        "before this."
    )
