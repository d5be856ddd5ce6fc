"""`experiments/cells.yaml`: each run gets the cells that were searched with its own seed."""

from pathlib import Path

import numpy as np
import pytest

from pocketface.compare.design_file import read_design
from pocketface.compare.plan import plan_runs
from pocketface.search.random_cell import random_genotype

DESIGN = Path(__file__).resolve().parents[2] / "experiments" / "cells.yaml"


def test_a_run_gets_the_cells_of_its_own_seed_and_all_else_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    files = {"faces": "search_faces", "textures": "search_textures", "random": "random"}
    cells = {}
    for arm, name in files.items():
        for seed in range(3):
            cells[arm, seed] = random_genotype(rng)
            cells[arm, seed].save(Path("runs/cells") / f"{name}_{seed}" / "genotype.json")
    design = read_design(DESIGN)
    runs = plan_runs(design, Path("out"))
    assert len(runs) == 15
    for run in runs:
        found = run.recipe.model.options["genotype"]
        if run.arm in files:
            assert found == cells[run.arm, run.seed].to_dict()
        else:
            assert found == run.arm.removeprefix("published_")
    for seed in range(3):
        recipes = [run.recipe.model_dump(mode="json") for run in runs if run.seed == seed]
        for recipe in recipes:
            del recipe["model"]["options"]["genotype"]
        assert all(recipe == recipes[0] for recipe in recipes)
        assert recipes[0]["seed"] == seed
