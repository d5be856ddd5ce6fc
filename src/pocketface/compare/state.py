"""How far the run in a folder is: finished, begun, or not begun."""

import json
import os

import torch
from pydantic import Field, ValidationError

import pocketface
from pocketface import atomic
from pocketface.benchmarks.result import Record
from pocketface.card import read_card, sha256_of
from pocketface.compare.plan import PlannedRun
from pocketface.distill.config import teacher_files
from pocketface.errors import DataError, RecipeError, WeightsError
from pocketface.train import run as runs
from pocketface.train.checkpoint import LINK, load_checkpoint
from pocketface.train.log import METRICS

FINISHED = "finished.json"

_TAIL = 8192
"""Bytes at the end of the log in which its last whole row is looked for."""


class Surroundings(Record):
    """What a run's seconds, and the last bits of its weights, depend on beside its recipe."""

    device: str
    threads: int | None
    at_once: int = Field(description="how many runs shared the machine")
    version: str = pocketface.__version__
    torch_version: str = str(torch.__version__)


class Finished(Record):
    """What a finished run was; the content of `finished.json` in its folder.

    Attributes:
        steps, images: done and seen.
        seconds: of training, over all its sittings.
        weights: sha256 of the last weights.
        data: what the card says that it learnt from.
        taught_by: sha256 of the weights that taught, in order.
        surroundings: of its last sitting.
    """

    format: int = 1
    steps: int
    images: int
    seconds: float
    weights: str
    data: str
    taught_by: tuple[str, ...] = ()
    surroundings: Surroundings


def is_begun(run: PlannedRun) -> bool:
    """Whether the run can be gone on with."""
    return os.path.lexists(run.folder / LINK)


def check_unchanged(planned: list[PlannedRun]) -> None:
    """Raise RecipeError if a run that was begun, or is finished, had another recipe.

    The message lists what differs in the first such run.
    """
    changed: list[str] = []
    for run in planned:
        if is_begun(run):
            try:
                runs.resume(run.folder, run.recipe)
            except RecipeError as error:
                changed.append(f"{run.name}: {error}")
    if changed:
        more = f"\n{len(changed) - 1} more runs differ." if len(changed) > 1 else ""
        raise RecipeError(
            f"{changed[0]}{more}\nOr delete the folders of these runs, to train them anew."
        )


def read_finished(run: PlannedRun) -> Finished | None:
    """What the finished run was; None if it is not finished.

    Raises DataError if its weights have gone or changed since.
    """
    path = run.folder / FINISHED
    if not path.is_file():
        return None
    try:
        finished = Finished.model_validate_json(path.read_bytes())
        card = read_card(run.weights) if run.weights.is_file() else None
    except (ValidationError, WeightsError) as error:
        raise _spoilt(run, str(error)) from error
    if card is None or card.sha256 != finished.weights:
        raise _spoilt(run, f"{run.weights} is not what it left")
    return finished


def note_finished(run: PlannedRun, surroundings: Surroundings) -> Finished:
    """Write down that a run has ended well.

    Raises WeightsError if it has not left what it should.
    """
    position = load_checkpoint(run.folder / LINK).position
    card = read_card(run.weights) if run.weights.is_file() else None
    if position.epoch != run.recipe.epochs or card is None:
        raise WeightsError(
            f"{run.name} ended in epoch {position.epoch} of {run.recipe.epochs} and without "
            f"{run.weights} and its card, yet without an error. Start the comparison again."
        )
    finished = Finished(
        steps=position.step,
        images=position.images,
        seconds=position.seconds,
        weights=card.sha256,
        data=card.data,
        taught_by=_teachers(run),
        surroundings=surroundings,
    )
    atomic.write_text(run.folder / FINISHED, finished.model_dump_json(indent=1) + "\n")
    return finished


def images_seen(run: PlannedRun) -> int:
    """How many images an unfinished run has seen, by the last whole row of its log."""
    path = run.folder / METRICS
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            lines = file.read().splitlines()
    except OSError:
        return 0
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"]) * run.recipe.batch_size
        except (ValueError, KeyError, TypeError):
            continue
    return 0


def _teachers(run: PlannedRun) -> tuple[str, ...]:
    if run.recipe.distill is None:
        return ()
    return tuple(sha256_of(path) for path in teacher_files(run.recipe.distill))


def _spoilt(run: PlannedRun, reason: str) -> DataError:
    return DataError(
        f"{run.folder} holds a finished run, but {reason}. Put it back, or delete the folder to "
        "train it anew."
    )
