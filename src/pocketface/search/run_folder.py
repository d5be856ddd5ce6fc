"""The folder of a search: what it holds, and how one is begun or gone on with."""

from pathlib import Path

from pocketface.search.config import SearchConfig
from pocketface.train import run as runs
from pocketface.train.checkpoint import LINK, Checkpoint, load_checkpoint
from pocketface.train.recipe import save_recipe
from pocketface.train.settings import parse_settings

CONFIG = "config.yaml"
GENOTYPE = "genotype.json"
SUMMARY = "summary.json"
ALPHAS = "alphas.npz"
CELLS = "cells.png"
FILM_STRIP = "film_strip.png"
CURVES = "curves.png"


def begin(run: Path, config: SearchConfig) -> None:
    """Make the folder of a new search and write its settings.

    Raises:
        RecipeError: if the folder holds a run already.
    """
    runs.refuse_existing(run)
    run.mkdir(parents=True, exist_ok=True)
    save_recipe(config, run / CONFIG)


def resume(run: Path, config: SearchConfig, checkpoint: Path | None = None) -> Checkpoint:
    """Read the checkpoint to go on from: `checkpoint`, or the search's newest.

    Raises:
        RecipeError: if the search was begun with other settings; the message lists them.
        WeightsError: if there is no checkpoint, or it is broken.
    """
    found = load_checkpoint(checkpoint or run / LINK)
    refused = f"{run} holds no search that can go on"
    theirs = parse_settings(SearchConfig, found.recipe, "search", refused)
    runs.refuse_other_settings(run, config, theirs, "another search")
    return found
