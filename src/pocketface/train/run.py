"""The folder of a run: what it holds, and whether it may be begun or continued."""

import os
from pathlib import Path

from pydantic import BaseModel

from pocketface.errors import RecipeError
from pocketface.train.checkpoint import LINK, Checkpoint, load_checkpoint
from pocketface.train.recipe import Recipe, differences, parse_recipe, save_recipe

RECIPE = "recipe.yaml"
LAST = "last.safetensors"
BEST = "best.safetensors"

_SIGNS = (LINK, BEST, LAST, "milestones")
"""What shows that a folder holds a run; one that was stopped before its first checkpoint has none
of these, and may be begun again."""

_OUTCOME_FREE = ("data.workers", "data.in_memory", "head.sharded", "checkpoint_minutes")


def milestone_path(run: Path, epoch: int) -> Path:
    """The weights kept at the end of epoch `epoch` (counted from 1)."""
    return run / "milestones" / f"epoch_{epoch:04d}.safetensors"


def refuse_existing(run: Path) -> None:
    """Raise RecipeError if the folder `run` holds a run."""
    found = [name for name in _SIGNS if os.path.lexists(run / name)]
    if found:
        raise RecipeError(
            f"{run} holds a run already ({found[0]}). Continue it with --resume, or choose "
            "another --out."
        )


def begin(run: Path, recipe: Recipe) -> None:
    """Make the folder of a new run and write its recipe.

    Raises:
        RecipeError: if the folder holds a run already.
    """
    refuse_existing(run)
    run.mkdir(parents=True, exist_ok=True)
    save_recipe(recipe, run / RECIPE)


def resume(run: Path, recipe: Recipe, checkpoint: Path | None = None) -> Checkpoint:
    """Read the checkpoint to go on from: `checkpoint`, or the run's newest.

    Raises:
        RecipeError: if the run was begun with another recipe; the message lists the differences.
        WeightsError: if there is no checkpoint, or it is broken.
    """
    found = load_checkpoint(checkpoint or run / LINK)
    theirs = parse_recipe(found.recipe, f"the recipe in {run}")
    # What is done about divergence has decided nothing before the first time.
    free = () if found.position.back_offs else ("divergence.",)
    refuse_other_settings(run, recipe, theirs, "another recipe", free)
    return found


def refuse_other_settings(
    run: Path, ours: BaseModel, theirs: BaseModel, named: str, free: tuple[str, ...] = ()
) -> None:
    """Raise RecipeError if a run would go on with other settings than it was begun with.

    Args:
        run: the run's folder.
        ours: the settings now.
        theirs: those of the checkpoint.
        named: what to call such settings, as "another recipe".
        free: how keys begin that may differ, besides those that never decide an outcome.
    """
    free += _OUTCOME_FREE
    changed = [line for line in differences(ours, theirs) if not line.startswith(free)]
    if changed:
        raise RecipeError(
            f"{run} was begun with {named}; it cannot go on with this one:\n  "
            + "\n  ".join(changed)
            + "\nGive the same options again, or begin a new run with another --out."
        )


def refuse_other_batches(
    run: Path, ours: dict[str, int | str], theirs: dict[str, int | str]
) -> None:
    """Raise RecipeError if a run would go on with other batches than it was begun with.

    Args:
        run: the run's folder.
        ours: what decides the batches now (`FaceLoader.identity`).
        theirs: the same of the checkpoint.
    """
    changed = [
        f"{key}: {ours[key]} here, {theirs.get(key)} there"
        for key in ours
        if ours[key] != theirs.get(key)
    ]
    if changed:
        raise RecipeError(
            f"{run} was begun with other training images; it cannot go on with these:\n  "
            + "\n  ".join(changed)
            + "\n"
            "Give the same again, or begin a new run with another --out."
        )
