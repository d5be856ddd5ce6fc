"""Noticing that a run has diverged, before its weights are saved."""

import math
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from pocketface.errors import TrainingError


class Rates(Protocol):
    """The settings of an optimiser that a diverged run may be mended by."""

    @property
    def learning_rate(self) -> float:
        """The rate at the start."""

    @property
    def clip_norm(self) -> float:
        """The bound on the gradient's norm; 0 is none."""


def check_loss(
    loss: float, step: int, run: Path, optimiser: Rates, section: str = "optimiser"
) -> None:
    """Raise TrainingError if the loss is no finite number; `section` holds `optimiser`."""
    if not math.isfinite(loss):
        raise _diverged(f"the loss is {loss}", step, run, optimiser, section)


def check_weights(
    module: nn.Module, step: int, run: Path, optimiser: Rates, section: str = "optimiser"
) -> None:
    """Raise TrainingError if a parameter or running statistic is not finite.

    The loss tells of it one step late: by then the weights may have been saved.
    """
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            what = f"the weights hold numbers that are not finite ({name})"
            raise _diverged(what, step, run, optimiser, section)


def _diverged(what: str, step: int, run: Path, optimiser: Rates, section: str) -> TrainingError:
    bound = optimiser.clip_norm or "none"
    return TrainingError(
        f"{what} at step {step}. Begin a new run with a lower {section}.learning_rate (now "
        f"{optimiser.learning_rate}) or a closer bound on the gradient, {section}.clip_norm (now "
        f"{bound}). {run / 'last.ckpt'} is from before this."
    )
