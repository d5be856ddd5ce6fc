"""What the runs of a comparison will cost, and whether they can be carried out at all.

Asked before the first run: what would end a comparison in its third hour shall end it now.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pocketface.compare.plan import PlannedRun
from pocketface.distill.config import teacher_files
from pocketface.errors import PocketFaceError, RecipeError
from pocketface.models.cost import Cost, measure_cost
from pocketface.models.registry import outline_model
from pocketface.train.recipe import DataConfig, ModelConfig, Recipe
from pocketface.train.sources import open_sources


@dataclass(frozen=True)
class Budget:
    """What a run costs.

    Attributes:
        images: that it sees, in all its epochs.
        network: the cost of one image in its network.
    """

    images: int
    network: Cost


def budgets(runs: Iterable[PlannedRun]) -> dict[Path, Budget]:
    """What each run costs, by its folder.

    Raises PocketFaceError, naming the arm, if a network, training images, a teacher or initial
    weights of any of them cannot be had.
    """
    found: dict[Path, Budget] = {}
    networks: dict[str, Cost] = {}
    sources: dict[str, int] = {}
    prepared: dict[Path, Recipe] = {}
    for run in runs:
        recipe = run.recipe
        try:
            model, data = recipe.model.model_dump_json(), recipe.data.model_dump_json()
            if model not in networks:
                networks[model] = _cost(recipe.model)
            if data not in sources:
                sources[data] = _images(recipe.data)
            if sources[data] < recipe.batch_size:
                raise RecipeError(
                    f"the training set has {sources[data]} images, fewer than one batch of "
                    f"{recipe.batch_size}. Lower batch_size or add images."
                )
            _check_weights_it_needs(recipe, {path: prepared[path] for path in run.needs})
        except PocketFaceError as error:
            raise type(error)(f"{run.name}: {error}") from error
        if run.prepared:
            prepared[run.folder] = recipe
        per_epoch = sources[data] // recipe.batch_size * recipe.batch_size
        found[run.folder] = Budget(recipe.epochs * per_epoch, networks[model])
    return found


def _cost(config: ModelConfig) -> Cost:
    return measure_cost(
        outline_model(
            config.architecture,
            embedding_size=config.embedding_size,
            image_size=config.image_size,
            **config.options,
        )
    )


def _images(config: DataConfig) -> int:
    return len(open_sources(config))


def _check_weights_it_needs(recipe: Recipe, prepared: dict[Path, Recipe]) -> None:
    init = recipe.model.init
    if init is not None and not _made_by(init, prepared) and not init.is_file():
        raise RecipeError(f"model.init is {init}, and there is no such file.")
    if recipe.distill is None:
        return
    teacher = _made_by(recipe.distill.teacher, prepared)
    if teacher is None:
        teacher_files(recipe.distill)
    elif recipe.distill.multi_step and not teacher.milestones:
        raise RecipeError(
            f"it follows {recipe.distill.teacher} in steps, so that run must keep its milestones: "
            "set 'milestones: true' for it."
        )


def _made_by(path: Path, prepared: dict[Path, Recipe]) -> Recipe | None:
    """The recipe of the prepared run that will write `path`, if one will."""
    for folder, recipe in prepared.items():
        if path == folder or folder in path.parents:
            return recipe
    return None
