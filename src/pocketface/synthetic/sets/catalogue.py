"""The sets that can be made, by name."""

import difflib
from collections.abc import Sequence

from pocketface.data.write_set import Layout
from pocketface.errors import RecipeError
from pocketface.synthetic.sets.circumstances import PAIRS, TEMPLATES
from pocketface.synthetic.sets.distractor_set import DistractorRecipe
from pocketface.synthetic.sets.pair_sets import PairSetRecipe
from pocketface.synthetic.sets.recipe import SetRecipe
from pocketface.synthetic.sets.template_sets import TemplateRecipe
from pocketface.synthetic.sets.training_set import TrainingRecipe

SET_NAMES = ("train", *PAIRS, *TEMPLATES, "megaface")
"""Every set, in the order in which they are made."""


def choose_sets(
    only: Sequence[str] | None = None,
    *,
    scale: float = 1.0,
    people: int = TrainingRecipe.people,
    images_per_person: int = TrainingRecipe.images_per_person,
    size: int = TrainingRecipe.size,
    layout: Layout = TrainingRecipe.layout,
) -> list[SetRecipe]:
    """Give the recipes of the sets named in `only`, or of all.

    `scale` multiplies the benchmarks' sizes; the others are those of the training set. Raises
    RecipeError for an unknown name or a number out of range.
    """
    chosen = SET_NAMES if only is None else tuple(only)
    for name in chosen:
        if name not in SET_NAMES:
            near = difflib.get_close_matches(name, SET_NAMES, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise RecipeError(
                f"'{name}' is no synthetic set; there are {', '.join(SET_NAMES)}.{hint}"
            )
    if not chosen:
        raise RecipeError(f"no set was named; there are {', '.join(SET_NAMES)}.")
    if not 0 < scale <= 10_000:
        raise RecipeError(f"--scale must be above 0 and at most 10,000, got {scale}.")
    if people < 1 or images_per_person < 1:
        raise RecipeError(
            "a training set needs at least one person and one image of each, got "
            f"{people} people and {images_per_person} images."
        )
    if layout not in ("folder", "rec"):
        raise RecipeError(f"the layout must be 'folder' or 'rec', got '{layout}'.")
    if size < 16 or size % 16:
        raise RecipeError(f"the size must be a multiple of 16, got {size}; 112 is the usual one.")
    training = TrainingRecipe(people, images_per_person, size, layout)
    every: dict[str, SetRecipe] = {
        "train": training,
        **{name: PairSetRecipe(name, scale) for name in PAIRS},
        **{name: TemplateRecipe(name, scale) for name in TEMPLATES},
        "megaface": DistractorRecipe(scale),
    }
    return [every[name] for name in SET_NAMES if name in chosen]
