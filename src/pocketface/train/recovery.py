"""What a diverged run does: keep the batches, then end, or go back and on at a lower rate."""

from dataclasses import replace
from typing import TYPE_CHECKING

from pocketface.errors import TrainingError
from pocketface.train import anchors
from pocketface.train.checkpoint import LINK, load_checkpoint
from pocketface.train.divergence import RECENT, Diverged, lower_rates
from pocketface.train.inspection import FOLDER, keep_batches
from pocketface.train.processes import all_wait

if TYPE_CHECKING:
    from pocketface.train.loop import Trainer


def recover(trainer: "Trainer", diverged: Diverged) -> str:
    """Keep the batches and set `trainer` back to an anchor at a lower rate; gives what to say.

    Kept are the batch whose loss was the first that cannot be trusted, and the one before, whose
    update made the weights that gave it. All processes must call this together.

    Raises:
        TrainingError: if the recipe does not ask to back off, or it was done often enough.
    """
    config, run, since = trainer.recipe.divergence, trainer.run, diverged.since
    before = trainer.position
    steps = [step for step in (since - 1, since) if 1 <= step <= before.step]
    shown = steps[-1]
    with all_wait(trainer.fabric):
        if trainer.fabric.is_global_zero:
            keep_batches(
                run,
                steps,
                f"{diverged.what} at step {shown}",
                recipe=trainer.recipe,
                faces=trainer.faces,
                loader=trainer.loader,
                step=trainer.step,
                losses=trainer.watch.losses,
            )
    epoch, place = divmod(shown - 1, trainer.loader.steps)
    files = " and ".join(f"step_{step:09d}" for step in steps)
    told = (
        f"{diverged.what} at step {shown} (epoch {epoch + 1}, step {place + 1} of "
        f"{trainer.loader.steps}). To look at its batch, and at that of the step before: "
        f"{run / FOLDER}/{files} (.npz, .png, .json)."
    )
    mend = (
        f"{lower_rates(trainer.recipe.optimiser)}. {run / LINK} was saved before this was noticed."
    )
    if diverged.spike:
        mend += (
            " If it was none, go on with --resume and a higher divergence.spike, or none (null)."
        )
    if config.action == "stop":
        raise TrainingError(
            f"{told} {mend} To go on at a lower rate: --resume --set divergence.action=back_off."
        )
    if before.back_offs >= config.most:
        raise TrainingError(f"{told} It went back {before.back_offs} times before this. {mend}")
    anchor = anchors.newest_before(run, since - RECENT)
    if anchor is None:
        raise TrainingError(
            f"{told} There is nothing to go back to in {run / anchors.FOLDER}. {mend}"
        )
    trainer.restore(load_checkpoint(anchor))
    trainer.position = replace(
        trainer.position, back_offs=before.back_offs + 1, seconds=before.seconds
    )
    if trainer.fabric.is_global_zero:
        anchors.forget_after(run, trainer.position.step)
    trainer.save()
    return (
        f"{told} Going back to step {trainer.position.step}, with "
        f"{config.factor**trainer.position.back_offs:g} times the recipe's learning rate "
        f"(time {trainer.position.back_offs} of at most {config.most})."
    )
