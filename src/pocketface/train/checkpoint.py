"""Checkpoints: all that a run needs to go on as if it had never stopped.

A checkpoint is written to a temporary name, synced and renamed; `last.ckpt` is a link to the
newest. Whatever moment a process is killed at, `last.ckpt` names a whole file.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pocketface import atomic
from pocketface.errors import TrainingError, WeightsError

FORMAT = 2
LINK = "last.ckpt"


@dataclass
class Position:
    """How far a run has come.

    Attributes:
        epoch: 0-based, the one in work.
        step_in_epoch: steps of that epoch that are done.
        step: steps done since the beginning.
        best_accuracy: the highest mean accuracy on the validation sets, -1 before the first.
        images: images seen.
        seconds: time spent, over all sittings.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    best_accuracy: float = -1.0
    images: int = 0
    seconds: float = 0.0


@dataclass
class Checkpoint:
    """What is stored.

    Attributes:
        states: of networks, optimisers and precision, by name.
        position: how far the run has come.
        recipe: what it was begun with.
        batches: what decides its batches besides the recipe (`FaceLoader.identity`).
    """

    states: dict[str, dict[str, Any]]
    position: Position
    recipe: dict[str, Any] = field(default_factory=dict)
    batches: dict[str, int | str] = field(default_factory=dict)


def save_checkpoint(run: Path, checkpoint: Checkpoint, keep: int = 2) -> Path:
    """Write a checkpoint into `run`, point `last.ckpt` to it, and remove all but the `keep` newest.

    The newest are those written last: a run that goes on from an older checkpoint leaves the
    later steps of its first way behind. An old checkpoint is removed only when the new one is
    safely named, so a full disk costs nothing but the new file.

    Raises:
        TrainingError: if the file cannot be written.
    """
    path = run / "checkpoints" / f"step_{checkpoint.position.step:09d}.ckpt"
    content = {
        "format": FORMAT,
        "states": checkpoint.states,
        "position": vars(checkpoint.position),
        "recipe": checkpoint.recipe,
        "batches": checkpoint.batches,
    }
    try:
        with atomic.atomic_path(path) as temporary:
            torch.save(content, temporary)
    # A full disk is an OSError or, from inside PyTorch's writer, a RuntimeError.
    except (OSError, RuntimeError) as error:
        raise TrainingError(
            f"the checkpoint {path} cannot be written: {error}. Make room on the disk and go on "
            f"with --resume; {run / LINK} is as it was."
        ) from error
    link = run / LINK
    fresh = run / f"{LINK}.tmp"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(path.relative_to(run))
    fresh.replace(link)
    atomic.sync_folder(run)
    others = [other for other in path.parent.glob("step_*.ckpt") if other != path]
    others.sort(key=lambda other: other.stat().st_mtime_ns, reverse=True)
    for old in others[keep - 1 :]:
        old.unlink(missing_ok=True)
    for abandoned in path.parent.glob("*.tmp-*"):
        abandoned.unlink(missing_ok=True)
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, tensors on the CPU.

    Raises:
        WeightsError: if there is none, or the file is not a whole checkpoint of ours.
    """
    if not path.is_file():
        raise WeightsError(f"no checkpoint at {path}. Start the run without --resume.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    # A broken or foreign file can raise nearly anything; every case is the same to the user.
    except Exception as error:
        raise WeightsError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}: {error}). "
            "Older ones lie in the run's folder checkpoints/: name one with --checkpoint."
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise WeightsError(
            f"{path} is not a checkpoint of this version (format {FORMAT}). "
            "For weights to start from use --init."
        )
    return Checkpoint(
        content["states"], Position(**content["position"]), content["recipe"], content["batches"]
    )
