"""From the design of a comparison to its runs: which recipe in which folder, in which order."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketface.compare.design import Arm, Design, Prepared
from pocketface.compare.names import dollar_names, filled
from pocketface.errors import RecipeError
from pocketface.models.genotype import PRESETS, Genotype
from pocketface.train.recipe import Recipe, load_recipe, parse_recipe


@dataclass(frozen=True)
class PlannedRun:
    """One training run of a comparison.

    Attributes:
        arm: its name in the design, of an arm or of what is prepared.
        seed: of the recipe.
        folder: of the run.
        recipe: the whole of it.
        needs: the folders of prepared runs that it uses.
        prepared: whether it is one of these itself.
    """

    arm: str
    seed: int
    folder: Path
    recipe: Recipe
    needs: tuple[Path, ...] = ()
    prepared: bool = False

    @property
    def name(self) -> str:
        """What to call it on the screen."""
        return f"{self.arm}, seed {self.seed}"

    @property
    def weights(self) -> Path:
        """What it leaves: the last weights, never chosen on what is measured."""
        return self.folder / "last.safetensors"


def plan_runs(design: Design, out: Path) -> list[PlannedRun]:
    """All runs of a comparison in `out`, in their order: what is prepared, then seed by seed.

    Seed by seed, so that whenever a comparison is stopped its arms can be compared in pairs.

    Raises RecipeError, naming the arm, if a recipe cannot be made.
    """
    shared: dict[str, Path] = {}
    runs: list[PlannedRun] = []
    for name, prepared in design.prepare.items():
        if prepared.seed != "each":
            runs.append(_prepared(design, out, name, prepared, prepared.seed, shared))
            shared[name] = runs[-1].folder
    for seed in design.seeds:
        places = dict(shared)
        for name, prepared in design.prepare.items():
            if prepared.seed == "each":
                runs.append(_prepared(design, out, name, prepared, seed, places))
                places[name] = runs[-1].folder
        for name, arm in design.arms.items():
            folder = out / name / f"seed_{seed}"
            runs.append(_run(design, out, name, arm, seed, folder, places, prepared=False))
    return runs


def _prepared(
    design: Design, out: Path, name: str, arm: Prepared, seed: int, places: Mapping[str, Path]
) -> PlannedRun:
    folder = out / "prepared" / name / f"seed_{seed}"
    return _run(design, out, name, arm, seed, folder, places, prepared=True)


def _run(
    design: Design,
    out: Path,
    name: str,
    arm: Arm,
    seed: int,
    folder: Path,
    places: Mapping[str, Path],
    *,
    prepared: bool,
) -> PlannedRun:
    words = design.names | {key: str(path) for key, path in places.items()}
    words |= {"out": str(out), "seed": str(seed)}
    try:
        changes = _merged(design.changes, _changes(arm))
        if "seed" in changes:
            raise RecipeError("a seed is not set by key: the design's 'seeds' says them all.")
        base = design.recipe if arm.recipe is None else arm.recipe
        used = set(dollar_names([changes, base]))
        changes = filled(changes, words)
        genotype = changes.get("model.options.genotype")
        if isinstance(genotype, str) and genotype not in PRESETS:
            changes["model.options.genotype"] = Genotype.load(Path(genotype)).to_dict()
        recipe = _recipe(filled(base, words), changes | {"seed": seed})
    except RecipeError as error:
        place = "prepare" if prepared else "arms"
        raise RecipeError(f"{place}.{name}: {error}") from error
    needs = tuple(path for key, path in places.items() if key in used)
    return PlannedRun(name, seed, folder, recipe, needs, prepared)


def _changes(arm: Arm) -> dict[str, Any]:
    short = {
        "model.init": arm.init,
        "distill.teacher": arm.teacher,
        "model.options.genotype": arm.genotype,
    }
    return {key: value for key, value in short.items() if value is not None} | arm.changes


def _merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Changes for all, then an arm's own; what is set within a section that the arm sets goes."""
    kept = {
        key: value
        for key, value in common.items()
        if not any(key == mine or key.startswith(f"{mine}.") for mine in own)
    }
    return kept | dict(own)


def _recipe(base: str | dict[str, Any], changes: Mapping[str, Any]) -> Recipe:
    if isinstance(base, str):
        return load_recipe(base, changes)
    return parse_recipe(base, "the recipe", changes)
