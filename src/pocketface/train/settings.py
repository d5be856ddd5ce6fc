"""Settings from a file or the command line, checked; what is wrong with them is told by its key."""

import difflib
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pocketface.errors import RecipeError

Settings = TypeVar("Settings", bound=BaseModel)


def parse_settings(
    model: type[Settings],
    content: Mapping[str, Any],
    whole: str,
    refused: str,
    changes: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings in `content`, changed by `changes`.

    Args:
        model: what they must be.
        content: plain values by key, sections in sections; it stays as it is.
        whole: what to call a fault that no key has.
        refused: how the error begins.
        changes: values by dotted key, such as {"optimiser.learning_rate": 0.05}.

    Raises:
        RecipeError: a line for each key or value that is not allowed.
    """
    changed = deepcopy(dict(content))
    for key, value in (changes or {}).items():
        _set(changed, key, value)
    try:
        return model.model_validate(changed)
    except ValidationError as error:
        lines = [_said(fault, model, whole) for fault in error.errors()]
        raise RecipeError(f"{refused}:\n" + "\n".join(lines)) from error


def _set(content: dict[str, Any], key: str, value: Any) -> None:
    *folders, last = key.split(".")
    for folder in folders:
        inner = content.get(folder)
        if inner is None:
            inner = content[folder] = {}
        if not isinstance(inner, dict):
            raise RecipeError(f"'{key}' cannot be set: '{folder}' is a value, not a section.")
        content = inner
    content[last] = value


def _said(fault: ErrorDetails, model: type[BaseModel], whole: str) -> str:
    """One line on one fault."""
    key, allowed = _place(fault["loc"], model)
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(fault["loc"][-1]), allowed, 1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return f"  {key}: no such key; {hint}Allowed: {', '.join(allowed)}"
    # Where a whole section is at fault, its content says nothing more.
    section = not key or isinstance(fault["input"], dict)
    found = "" if section else f" (got {fault['input']!r})"
    return f"  {key or whole}: {fault['msg'].removeprefix('Value error, ')}{found}"


def _place(place: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, list[str]]:
    """The dotted key that a fault speaks of, and the keys that its section allows."""
    sections: list[type[BaseModel]] = [model]
    names: list[str] = []
    for part in place[:-1]:
        fields = [
            section.model_fields[str(part)] for section in sections if part in section.model_fields
        ]
        if fields:
            names.append(str(part))
            sections = [model for field in fields for model in _models_in(field.annotation)]
        else:
            # A part that is no field is the kind, or the loss, that tells the sections apart.
            sections = [section for section in sections if part in _tags(section)] or sections
    for part in place[-1:]:
        if not any(part in _tags(section) for section in sections):
            names.append(str(part))
    return ".".join(names), sorted({name for section in sections for name in section.model_fields})


def _tags(section: type[BaseModel]) -> tuple[Any, ...]:
    """The names by which a file chooses this section among its like."""
    fields = (section.model_fields.get(name) for name in ("kind", "loss"))
    return tuple(tag for field in fields if field for tag in get_args(field.annotation))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
