"""From a search to the recipe that trains its network on the same faces."""

from collections.abc import Mapping
from typing import Any

from pocketface.models.genotype import FACES, Genotype
from pocketface.search.config import SearchConfig
from pocketface.train.recipe import Recipe, load_recipe


def found_recipe(
    config: SearchConfig, changes: Mapping[str, Any], genotype: Genotype = FACES
) -> Recipe:
    """The recipe of `config` with the cells of `genotype`, on the faces and seed of the search.

    Args:
        config: of the search.
        changes: further values by dotted key.
        genotype: the found cells; before the search, any will do to check the rest.

    Raises:
        RecipeError: if a key or value is not allowed.
    """
    data = config.data
    taken: dict[str, Any] = {
        "data.train": [str(path) for path in data.train],
        "data.people": None if data.people is None else str(data.people),
        "data.licence": data.licence,
        "seed": config.seed,
        "model.options.genotype": genotype.to_dict(),
    }
    return load_recipe(config.recipe, {**taken, **changes})
