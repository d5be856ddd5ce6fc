"""From a recipe to a finished run, in this process or as one of several under torchrun."""

import os
from pathlib import Path

import torch
from lightning_fabric import Fabric

from pocketface import atomic
from pocketface.errors import RecipeError
from pocketface.train import run as runs
from pocketface.train.disk import full_disk_told
from pocketface.train.loop import RunResult, Trainer
from pocketface.train.recipe import Recipe


def carry_out(
    recipe: Recipe,
    run: Path,
    *,
    resume: bool = False,
    checkpoint: Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    quiet: bool = False,
) -> RunResult | None:
    """Train as `recipe` says, in the folder `run`; gives the result on the first process.

    Args:
        recipe: the whole run.
        run: its folder; it must not hold a run unless `resume` is set.
        resume: go on from `checkpoint`, or the run's newest.
        checkpoint: see `resume`.
        device: an accelerator's name as Lightning Fabric knows it, or "auto".
        threads: CPU threads of torch; none leaves torch's own choice.
        quiet: print nothing.

    Raises:
        PocketFaceError: a subclass that says what is wrong; nothing is lost.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    fabric = _fabric(recipe, device)
    if resume:
        found = runs.resume(run, recipe, checkpoint)
    else:
        found = None
        # Asked before the data are read and a teacher's cache is filled.
        runs.refuse_existing(run)
    with full_disk_told(run):
        if fabric.is_global_zero:
            atomic.remove_abandoned(run)
        trainer = Trainer(recipe, run, fabric, quiet)
        if found is not None:
            trainer.restore(found)
        else:
            if fabric.is_global_zero:
                runs.begin(run, recipe)
            # So that a run that is killed before its first step can be resumed too.
            trainer.save()
        result = trainer.train()
    return result if fabric.is_global_zero else None


def _fabric(recipe: Recipe, device: str) -> Fabric:
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    world = int(os.environ.get("WORLD_SIZE", "1"))
    try:
        fabric = Fabric(
            accelerator=device,
            devices=local,
            num_nodes=max(1, world // local),
            strategy="ddp" if world > 1 else "auto",
            precision=recipe.precision,
        )
    except (ValueError, RuntimeError, ImportError) as error:
        raise RecipeError(
            f"device '{device}' with precision '{recipe.precision}' cannot be used: {error}"
        ) from error
    fabric.launch()
    return fabric
