"""Noticing that a run has diverged, before its weights are saved."""

import math
from pathlib import Path

import torch
from torch import nn

from pocketface.errors import TrainingError
from pocketface.train.schedule import OptimiserConfig


def check_loss(loss: float, step: int, run: Path, optimiser: OptimiserConfig) -> None:
    """Raise TrainingError if the loss is no finite number."""
    if not math.isfinite(loss):
        raise _diverged(f"the loss is {loss}", step, run, optimiser)


def check_weights(module: nn.Module, step: int, run: Path, optimiser: OptimiserConfig) -> None:
    """Raise TrainingError if a parameter or running statistic is not finite.

    The loss tells of it one step late: by then the weights may have been saved.
    """
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            what = f"the weights hold numbers that are not finite ({name})"
            raise _diverged(what, step, run, optimiser)


def _diverged(what: str, step: int, run: Path, optimiser: OptimiserConfig) -> TrainingError:
    bound = optimiser.clip_norm or "none"
    return TrainingError(
        f"{what} at step {step}. Begin a new run with a lower optimiser.learning_rate (now "
        f"{optimiser.learning_rate}) or a closer bound on the gradient, optimiser.clip_norm (now "
        f"{bound}). {run / 'last.ckpt'} is from before this."
    )
