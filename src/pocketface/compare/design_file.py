"""Reading the design of a comparison from its YAML file, and saying what is wrong with it."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pocketface.compare.design import Arm, Benchmark, Design, Fixed, Prepared, Section
from pocketface.compare.names import near_name
from pocketface.errors import RecipeError


def read_design(path: Path) -> Design:
    """Read the design of a comparison. Raises RecipeError if it cannot be used."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path} cannot be read: {error}. Give the YAML file of a comparison."
        ) from error
    try:
        content = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} must hold keys and values. Got {type(content).__name__}.")
    try:
        return Design.model_validate(content)
    except ValidationError as error:
        lines = dict.fromkeys(_said(fault) for fault in error.errors())
        raise RecipeError(f"{path} is no comparison:\n" + "\n".join(lines)) from error


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice: of two arms of one name the first would be lost."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    given: set[str] = set()
    for key, _ in node.value:
        if key.value in given:
            raise yaml.constructor.ConstructorError(
                None, None, f"'{key.value}' is given twice", key.start_mark
            )
        given.add(key.value)
    loader.flatten_mapping(node)  # what `<<` brings in comes first and may be given again
    return {
        _name(loader.construct_object(key, deep=True)): loader.construct_object(value, deep=True)
        for key, value in node.value
    }


def _name(key: Any) -> Any:
    """A number as a name: a weight is a good name for an arm (`arms: {7: ..., 128: ...}`)."""
    return str(key) if isinstance(key, int | float) and not isinstance(key, bool) else key


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)

_SECTIONS: dict[str, type[Section]] = {
    "prepare": Prepared,
    "arms": Arm,
    "measure": Benchmark,
    "fixed": Fixed,
}


def _said(fault: ErrorDetails) -> str:
    """One line on one fault."""
    place = [str(part) for part in fault["loc"] if part not in ("str", "dict[str,any]")]
    key = ".".join(place)
    if fault["type"] == "extra_forbidden":
        section = _SECTIONS.get(place[0], Design) if len(place) > 1 else Design
        allowed = [field.alias or name for name, field in section.model_fields.items()]
        return f"  {key}: no such key.{near_name(place[-1], allowed)} Allowed: {', '.join(allowed)}"
    if place[-1:] == ["[key]"]:
        return (
            f"  {place[0]}: a name must be text, got {fault['input']!r}; YAML takes on, off, yes "
            "and no for true and false: put such a name in quotes"
        )
    message = fault["msg"].removeprefix("Value error, ")
    found = "" if fault["type"] in ("missing", "value_error") else f" (got {fault['input']!r})"
    return f"  {key + ': ' if key else ''}{message}{found}"
