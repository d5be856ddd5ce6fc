"""Making sets in a folder, so that a stop loses little and a second run goes on.

A set that is being made has a folder `<set>.partial` with its options, and its pictures in parts.
When the last part is there the set is written beside them, renamed to its place, and entered in
the manifest; then the folder goes.
"""

import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pocketface import atomic
from pocketface.errors import DataError, MissingExtraError, StoppedError
from pocketface.synthetic.population import Population
from pocketface.synthetic.sets.manifest import FILE, Manifest, made_by
from pocketface.synthetic.sets.parts import PartJob, Parts
from pocketface.synthetic.sets.recipe import SetPlan, SetRecipe
from pocketface.synthetic.sets.shot import Renderer
from pocketface.synthetic.sets.workers import take_parts

_PLAN = "plan.json"


@dataclass(frozen=True)
class Made:
    """A set that is there: where, and how large.

    `kept`: an earlier run had made it; `other_version`: by other versions than are installed now.
    """

    name: str
    path: Path
    counts: Mapping[str, int]
    bytes: int
    kept: bool
    other_version: bool


def make_sets(
    root: Path,
    recipes: Sequence[SetRecipe],
    seed: int = 0,
    *,
    workers: int = 1,
    render: Renderer | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Made]:
    """Make the sets of `recipes` in the folder `root`, those that are not there yet.

    The bytes of every file depend on the recipe and the seed alone, never on `workers` or on an
    interruption. `progress` is told the pictures taken and all that this run has to take. `render`
    is for tests; it must be importable by name if there are several workers.

    Raises RecipeError if the folder holds another seed or sets of other options, DataError if a
    file cannot be written, StoppedError on Ctrl-C: then whole sets and whole parts are kept.
    """
    Population(seed)  # refuses a seed out of range before anything is written
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("Making synthetic people (pocketface.synthetic)", "train")
    try:
        return _make(root, recipes, seed, workers, render, progress)
    except OSError as error:
        raise DataError(
            f"{error.filename or root} cannot be written: {error.strerror}. What is whole is kept: "
            "put it right and run the same command again."
        ) from error


def _make(
    root: Path,
    recipes: Sequence[SetRecipe],
    seed: int,
    workers: int,
    render: Renderer | None,
    progress: Callable[[int, int], None] | None,
) -> list[Made]:
    manifest = Manifest(root, seed)
    kept = {recipe.name for recipe in recipes if manifest.holds(recipe)}
    unfinished = [_Unfinished(root, recipe, seed) for recipe in recipes if recipe.name not in kept]
    root.mkdir(parents=True, exist_ok=True)
    manifest.save()
    for work in unfinished:
        work.claim()
    jobs = {id(job): work for work in unfinished for job in work.jobs}
    total = sum(len(job.shots) for work in unfinished for job in work.jobs)
    done = 0
    if progress is not None:
        progress(done, total)
    try:
        for work in unfinished:
            if not work.jobs:
                work.finish(manifest)
        every = [job for work in unfinished for job in work.jobs]
        with closing(take_parts(every, workers, render)) as finished:
            for job in finished:
                work = jobs[id(job)]
                work.waiting -= 1
                done += len(job.shots)
                if progress is not None:
                    progress(done, total)
                if not work.waiting:
                    work.finish(manifest)
    except KeyboardInterrupt as stop:
        left = sum(work.left() for work in unfinished)
        raise StoppedError(
            f"stopped; {total - left:,} of {total:,} pictures are kept in {root}. "
            "Run the same command again to go on."
        ) from stop
    return [_made(root, recipe, manifest, kept=recipe.name in kept) for recipe in recipes]


class _Unfinished:
    """A set that is being made in `<root>/<name>.partial`."""

    def __init__(self, root: Path, recipe: SetRecipe, seed: int) -> None:
        self.recipe = recipe
        self.plan: SetPlan = recipe.plan(seed)
        self.target = root / recipe.output
        self.folder = root / f"{recipe.name}.partial"
        self._about = {"seed": seed, "options": dict(recipe.options), "made_by": made_by()}
        self._parts = Parts(self.folder, seed, self.plan.shots)
        self.jobs: list[PartJob] = self._parts.missing()
        self.waiting = len(self.jobs)

    def claim(self) -> None:
        """Begin the folder, or go on with one of the same plan.

        Raises DataError if the place is taken by something else.
        """
        path = self.folder / _PLAN
        if not path.is_file():
            if self.target.exists():
                raise DataError(
                    f"{self.target} is there, but {FILE} does not know it. Choose another folder, "
                    "or move it away."
                )
            atomic.write_text(path, json.dumps(self._about, indent=2) + "\n")
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            found = {}
        differing = [key for key, value in self._about.items() if found.get(key) != value]
        if differing:
            raise DataError(
                f"{self.folder} holds a set begun with other {' and '.join(differing)}. Finish it "
                "with the command that began it, or delete the folder."
            )

    def left(self) -> int:
        """The pictures that are not there, of those that this run had to take."""
        if not self.waiting:
            return 0
        return sum(len(job.shots) for job in self.jobs if not job.path.is_file())

    def finish(self, manifest: Manifest) -> None:
        """Write the set from its parts, put it in its place, and enter it in the manifest."""
        if not self.target.exists():  # else a run was killed after the renaming
            whole = self.folder / "whole"
            if whole.exists():
                shutil.rmtree(whole)
            whole.mkdir()
            self.plan.write(whole / self.recipe.output, self._parts)
            # One sync for all files instead of one for each of thousands.
            os.sync()
            (whole / self.recipe.output).replace(self.target)
            atomic.sync_folder(self.target.parent)
        manifest.add(self.recipe, self.plan)
        shutil.rmtree(self.folder)


def _made(root: Path, recipe: SetRecipe, manifest: Manifest, *, kept: bool) -> Made:
    entry = manifest.sets[recipe.name]
    other = entry["made_by"] != made_by()
    return Made(recipe.name, root / recipe.output, entry["counts"], entry["bytes"], kept, other)
