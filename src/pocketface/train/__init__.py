"""From a recipe to a trained network: loop, validation, checkpoints, log."""

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pocketface.errors import MissingExtraError

if find_spec("torch") is None or find_spec("lightning_fabric") is None:
    raise MissingExtraError("Training (pocketface.train)", "train")

if TYPE_CHECKING:
    from pocketface.train.launch import carry_out
    from pocketface.train.loop import RunResult
    from pocketface.train.recipe import Recipe, load_recipe

__all__ = ["Recipe", "RunResult", "carry_out", "load_recipe"]

_HOMES = {"Recipe": "recipe", "RunResult": "loop", "carry_out": "launch", "load_recipe": "recipe"}


def __getattr__(name: str) -> Any:
    # Imported when asked for: processes that only decode images need no Fabric (seconds).
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
