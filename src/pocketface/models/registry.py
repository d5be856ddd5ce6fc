"""The networks by name: `create_model("pocketnet_s_128")`, `list_models("pocketnet*")`."""

import difflib
import fnmatch
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from pocketface.errors import RecipeError
from pocketface.models.backbone import Backbone
from pocketface.models.checkpoint import load_state

_B = TypeVar("_B", bound=Backbone)


@dataclass(frozen=True)
class _Entry:
    """A class of networks, and the keywords that make it the network of this name."""

    network: type[Backbone]
    defaults: dict[str, Any]

    def allowed(self) -> list[str]:
        """Give the keywords that the class takes."""
        return list(inspect.signature(self.network).parameters)


_MODELS: dict[str, _Entry] = {}


def register(name: str, **defaults: Any) -> Callable[[type[_B]], type[_B]]:
    """Enter a class of networks under `name`, with the keywords `defaults`; a decorator.

    One class may carry several names. Raises ValueError if the name is taken.
    """

    def enter(network: type[_B]) -> type[_B]:
        if name in _MODELS:
            raise ValueError(f"a model named {name!r} is registered already")
        _MODELS[name] = _Entry(network, defaults)
        return network

    return enter


def list_models(pattern: str = "*") -> list[str]:
    """Give the names of all models that match a shell pattern, sorted."""
    return sorted(fnmatch.filter(_MODELS, pattern))


def create_model(
    name: str,
    *,
    embedding_size: int | None = None,
    image_size: int | None = None,
    weights: Path | None = None,
    generator: torch.Generator | None = None,
    **options: Any,
) -> Backbone:
    """Build a network by name, on the CPU, in training mode.

    Args:
        name: one of `list_models()`.
        embedding_size: length of an embedding; None takes the model's own.
        image_size: height and width in pixels, a multiple of 16; None takes the model's own.
        weights: a checkpoint to load; None draws random parameters.
        generator: the source of the random parameters; None is torch's default one.
        options: further keywords of the model's class.

    Raises RecipeError for an unknown name (and suggests the nearest), for an option that the
    model does not have, and for values out of range; WeightsError if `weights` do not fit.
    """
    # Outlined first: the layers' own constructors would draw from the global random source.
    backbone = outline_model(
        name, embedding_size=embedding_size, image_size=image_size, **options
    ).to_empty(device="cpu")
    backbone.initialise(generator)
    if weights is not None:
        load_state(backbone, weights)
    return backbone


def outline_model(
    name: str,
    *,
    embedding_size: int | None = None,
    image_size: int | None = None,
    **options: Any,
) -> Backbone:
    """Build a network on torch's meta device: names and shapes, but no memory and no values.

    Takes the arguments of `create_model` that say which network it is, and raises as it does.
    """
    entry = _MODELS.get(name)
    if entry is None:
        near = difflib.get_close_matches(name, _MODELS, n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise RecipeError(f"Unknown model {name!r}. {hint}Models: {', '.join(list_models())}.")
    surplus = sorted(set(options) - set(entry.allowed()))
    if surplus:
        raise RecipeError(
            f"{name} has no option {', '.join(map(repr, surplus))}. "
            f"Allowed: {', '.join(entry.allowed())}."
        )
    sizes = {"embedding_size": embedding_size, "image_size": image_size}
    given = {key: value for key, value in sizes.items() if value is not None}
    with torch.device("meta"):
        backbone = entry.network(**{**entry.defaults, **options, **given})
    backbone.architecture = name
    return backbone
