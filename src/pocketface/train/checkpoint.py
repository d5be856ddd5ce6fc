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
        back_offs: how often the run went back after it diverged, and lowered its learning rate.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    best_accuracy: float = -1.0
    images: int = 0
    seconds: float = 0.0
    back_offs: int = 0


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

    @property
    def global_batch(self) -> int:
        """Images per step over all processes: they belong to the run, however many share them."""
        return int(self.batches["global batch"])


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
        with atomic.atomic_path(path) as temporary, temporary.open("wb") as file:
            torch.save(content, file)
        _point_to(path, run)
    # PyTorch's writer makes a RuntimeError of what the file raised, and forgets what it was.
    except (OSError, RuntimeError) as error:
        cause = error.__context__ if isinstance(error.__context__, OSError) else error
        why = getattr(cause, "strerror", None) or str(cause)
        raise cannot_be_written(f"the checkpoint {path}", why, run) from error
    others = [other for other in path.parent.glob("step_*.ckpt") if other != path]
    others.sort(key=lambda other: other.stat().st_mtime_ns, reverse=True)
    for old in others[keep - 1 :]:
        old.unlink(missing_ok=True)
    atomic.remove_abandoned(path.parent)
    return path


def _point_to(path: Path, run: Path) -> None:
    """Let the run's `last.ckpt` be a link to `path`; at every moment it is a link to one or other.

    The link is relative, so that the run's folder can be moved.
    """
    fresh = run / f"{LINK}.tmp"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(path.relative_to(run))
    fresh.replace(run / LINK)
    atomic.sync_folder(run)


def cannot_be_written(what: str | Path, why: str, run: Path) -> TrainingError:
    """What to raise when the disk takes no more, and how to go on."""
    link = run / LINK
    mend = "give the same command again"
    if link.exists():
        mend = f"go on with --resume; {link} is as it was"
    return TrainingError(f"{what} cannot be written: {why}. Make room on the disk and {mend}.")


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
