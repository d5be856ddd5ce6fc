"""The batches at which a run diverged, kept so that one can look at them.

A batch need not be held while it is trained on: order and augmentation come from (seed, epoch,
step), so it can be made again.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketface import atomic
from pocketface.data import Faces
from pocketface.train.loader import FaceLoader
from pocketface.train.recipe import Recipe
from pocketface.train.step import TrainingStep

FOLDER = "diverged"
SHOWN = 1024
"""Images on a contact sheet at most."""


def keep_batches(
    run: Path,
    steps: Sequence[int],
    what: str,
    *,
    recipe: Recipe,
    faces: Faces,
    loader: FaceLoader,
    step: TrainingStep,
    losses: Sequence[float],
) -> None:
    """Write the whole batches, over all processes, of `steps` (counted from 1) of the run.

    For each: `step_*.npz` with `images` (uint8 (N, S, S, 3) RGB as the network saw them, that is
    augmented), `labels` and `indices` (int64 (N,)); `step_*.png`, the images in rows from left to
    right; and `step_*.json`, which says what happened and gives each image's place on the sheet,
    its name and its person.

    Args:
        run: the run's folder.
        steps: of which the batches are kept.
        what: what happened.
        recipe: the run's.
        faces: the training set.
        loader: gives the batches of this process; only its settings are used.
        step: what augments them.
        losses: of the newest steps before that, oldest first.
    """
    whole = FaceLoader(
        faces,
        image_size=loader.images.image_size,
        global_batch=loader.global_batch,
        seed=recipe.seed,
        augment=recipe.augment,
        balanced_share=recipe.balanced_share,
        per_person=recipe.sampler.per_person,
    )
    for number in steps:
        epoch, place = divmod(number - 1, whole.steps)
        loaded = next(whole.epoch(epoch, place))
        images = step.prepare(loaded).images.cpu().numpy()
        target = run / FOLDER / f"step_{number:09d}.npz"
        with atomic.atomic_path(target) as temporary, temporary.open("wb") as file:
            np.savez(file, images=images, labels=loaded.labels, indices=loaded.indices)
        with atomic.atomic_path(target.with_suffix(".png")) as temporary:
            Image.fromarray(contact_sheet(images[:SHOWN])).save(temporary, format="png")
        columns = _columns(min(SHOWN, len(images)))
        people = faces.people
        told = {
            "what": what,
            "step": number,
            "epoch": epoch + 1,
            "step_in_epoch": place + 1,
            "steps_in_epoch": whole.steps,
            "losses_before": list(losses),
            "images": [
                {
                    "row": row // columns + 1,
                    "column": row % columns + 1,
                    "index": index,
                    "name": faces.name(index),
                    "person": people[label] if label >= 0 else None,
                }
                for row, (index, label) in enumerate(
                    zip(loaded.indices.tolist(), loaded.labels.tolist(), strict=True)
                )
            ],
        }
        atomic.write_text(target.with_suffix(".json"), json.dumps(told, indent=1) + "\n")


def contact_sheet(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Images (N, S, S, 3) in rows from left to right, in a sheet about square; the rest is grey."""
    count, size = len(images), images.shape[1]
    columns = _columns(count)
    rows = -(-count // columns)
    cells = np.full((rows * columns, size, size, 3), 127, np.uint8)
    cells[:count] = images
    sheet = cells.reshape(rows, columns, size, size, 3).swapaxes(1, 2)
    return sheet.reshape(rows * size, columns * size, 3)


def _columns(count: int) -> int:
    return int(np.ceil(np.sqrt(count)))
