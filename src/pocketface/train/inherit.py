"""The head of a teacher's run, for a student that is classified by it."""

import torch

from pocketface.card import read_card
from pocketface.data import Faces
from pocketface.distill import DistillConfig
from pocketface.errors import RecipeError
from pocketface.heads import create_head
from pocketface.heads.margin import MarginHead
from pocketface.train.checkpoint import LINK, load_checkpoint
from pocketface.train.recipe import parse_recipe
from pocketface.train.run import LAST


def inherit_head(config: DistillConfig, faces: Faces) -> MarginHead:
    """The head that the teacher's run ended with; kind, scale and margin are that run's.

    Its classes are the people of the teacher's training set by number alone, so that set must be
    the student's, image by image.

    Raises:
        RecipeError: if the teacher is no run's folder, had no head of its own, or learnt other
            images.
        WeightsError: if the run's checkpoint, or the card of its weights, is missing or broken.
    """
    run = config.teacher
    if not run.is_dir():
        raise RecipeError(
            f"an inherited classifier needs the folder of the teacher's run, whose checkpoint "
            f"holds its head. Got {run}."
        )
    checkpoint = load_checkpoint(run / LINK)
    kernel = checkpoint.states["head"].get("kernel")
    if kernel is None:
        raise RecipeError(
            f"the teacher's run {run} had no head of its own that could be inherited. "
            "Choose a teacher that was trained with one."
        )
    card = read_card(run / LAST)
    ours = faces.fingerprint()[:12]
    if card is None or ours not in card.data:
        theirs = "images that no card names" if card is None else card.data
        raise RecipeError(
            f"the teacher in {run} learnt other images than the student would, so its classes are "
            f"other people: {theirs}; the student's have fingerprint {ours}. Train on the "
            "teacher's images, or choose another loss."
        )
    size, people = kernel.shape
    recipe = parse_recipe(checkpoint.recipe, f"the recipe in {run}")
    head = create_head(recipe.head, size, people, torch.Generator())
    head.load_state_dict({"kernel": kernel})
    return head
