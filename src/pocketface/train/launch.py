"""From a recipe to a finished run, in this process or as one of several under torchrun."""

import os
import socket
from datetime import timedelta
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from pocketface import atomic
from pocketface.errors import RecipeError
from pocketface.train import meeting
from pocketface.train import run as runs
from pocketface.train.build import build_backbone, build_teacher
from pocketface.train.checkpoint import LINK, Checkpoint
from pocketface.train.disk import full_disk_told
from pocketface.train.loop import RunResult, Trainer
from pocketface.train.processes import TIMEOUT_MINUTES, failure_of_others_told
from pocketface.train.recipe import Recipe
from pocketface.train.sources import open_sources


def carry_out(
    recipe: Recipe,
    run: Path,
    *,
    resume: bool | Literal["auto"] = False,
    checkpoint: Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    quiet: bool = False,
    process_timeout: float = TIMEOUT_MINUTES,
) -> RunResult | None:
    """Train as `recipe` says, in the folder `run`; gives the result on the first process.

    A run goes on with any number of processes: its global batch stays, and with it the order of the
    images, the learning rate and the number of steps; what changes is how many images each process
    takes, and with that the batches of batch normalisation.

    Args:
        recipe: the whole run.
        run: its folder; it must not hold a run unless `resume` is set.
        resume: go on from `checkpoint`, or the run's newest; "auto": if there is one, else begin.
        checkpoint: see `resume`.
        device: an accelerator's name as Lightning Fabric knows it, or "auto".
        threads: CPU threads of torch; none leaves torch's own choice.
        quiet: print nothing.
        process_timeout: minutes that a process waits for the others at a step.

    Raises:
        PocketFaceError: a subclass that says what is wrong; nothing is lost.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    fabric = _fabric(recipe, device, process_timeout)
    with failure_of_others_told(fabric, run, process_timeout), full_disk_told(run):
        if resume == "auto":
            # The first process decides: it will soon write, and a slower one would find that.
            resume = fabric.broadcast(os.path.lexists(run / LINK))
        if resume:
            found = _read_alike(run, recipe, checkpoint, fabric)
        else:
            found = None
            # Asked before the data are read and a teacher's cache is filled.
            runs.refuse_existing(run)
        if fabric.is_global_zero:
            atomic.remove_abandoned(run)
        kept = None if found is None else found.global_batch
        trainer = Trainer(recipe, run, fabric, quiet, kept)
        if found is not None:
            trainer.restore(found)
        # A checkpoint may be gone on from in a folder of its own.
        if fabric.is_global_zero and (found is None or not run.is_dir()):
            runs.begin(run, recipe)
        if found is None:
            # So that a run that is killed before its first step can be resumed too.
            trainer.save()
        result = trainer.train()
    return result if fabric.is_global_zero else None


def fill_caches(
    recipe: Recipe,
    *,
    device: str = "auto",
    threads: int | None = None,
    quiet: bool = False,
    process_timeout: float = TIMEOUT_MINUTES,
) -> Path | None:
    """Fill the caches of the recipe's teachers, and train nothing; gives their folder, once.

    What is full already is checked. Processes that fill the same caches share the work, whether
    torchrun started them or somebody did so one by one.

    Raises:
        RecipeError: if the recipe has no teacher or no cache.
        PocketFaceError: as `create_teacher`, `open_sources`.
    """
    if recipe.distill is None or recipe.distill.cache is None:
        raise RecipeError("there is no cache to fill: name a teacher, and a folder with --cache.")
    if threads is not None:
        torch.set_num_threads(threads)
    cache = recipe.distill.cache
    fabric = _fabric(recipe, device, process_timeout)
    with failure_of_others_told(fabric, cache, process_timeout), full_disk_told(cache):
        backbone = build_backbone(recipe, torch.Generator())
        quiet = quiet or not fabric.is_global_zero
        build_teacher(recipe, open_sources(recipe.data), backbone, fabric, quiet)
    return cache if fabric.is_global_zero else None


def _read_alike(run: Path, recipe: Recipe, checkpoint: Path | None, fabric: Fabric) -> Checkpoint:
    """The checkpoint to go on from, the same file in all processes.

    `last.ckpt` is a link, and the hosts of a shared file system may see it change at different
    times: processes with different weights would go on without an error.
    """
    named = checkpoint or run / LINK
    path, there = fabric.broadcast((named.resolve(), named.is_file()))
    if there and not path.is_file():
        raise RecipeError(
            f"process {fabric.global_rank} on {socket.gethostname()} does not see {path}, "
            "which the first process has. The run's folder must lie on a file system that all "
            "hosts share, under the same path."
        )
    return runs.resume(run, recipe, path if there else named)


def _fabric(recipe: Recipe, device: str, process_timeout: float) -> Fabric:
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    world = int(os.environ.get("WORLD_SIZE", "1"))
    timeout = timedelta(minutes=process_timeout)
    try:
        fabric = Fabric(
            accelerator=device,
            devices=local,
            num_nodes=max(1, world // local),
            strategy=DDPStrategy(timeout=timeout) if world > 1 else "auto",
            precision=recipe.precision,
        )
    except (ValueError, RuntimeError, ImportError) as error:
        raise RecipeError(
            f"device '{device}' with precision '{recipe.precision}' cannot be used: {error}"
        ) from error
    if world > 1 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        meeting.join(fabric.device, timeout)
    fabric.launch()
    return fabric
