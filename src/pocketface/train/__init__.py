"""From a recipe to a trained network: loop, validation, checkpoints, log."""

from pocketface.errors import MissingExtraError

try:
    import lightning_fabric as _fabric  # noqa: F401
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError("Training (pocketface.train)", "train") from error

from pocketface.train.launch import carry_out
from pocketface.train.loop import RunResult
from pocketface.train.recipe import Recipe, load_recipe

__all__ = ["Recipe", "RunResult", "carry_out", "load_recipe"]
