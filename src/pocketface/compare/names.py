"""The names in a design: those that texts hold, those of folders, and those mistaken."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from string import Template
from typing import Any

from pocketface.errors import RecipeError


def filled(value: Any, words: Mapping[str, str]) -> Any:
    """`value` with the dollar names in its texts, however deep, replaced by `words`.

    Raises RecipeError for a name that is not among them.
    """
    if isinstance(value, str):
        try:
            return Template(value).substitute(words)
        except KeyError as error:
            known = ", ".join(f"${name}" for name in words)
            raise RecipeError(
                f"'{value}' names ${error.args[0]}, which is nothing here. Known: {known}; what is "
                "prepared is known to what comes after it."
            ) from error
        except ValueError as error:
            raise RecipeError(
                f"'{value}': a dollar sign begins a name, as in $out; write $$ for the sign itself."
            ) from error
    if isinstance(value, Mapping):
        return {key: filled(inner, words) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [filled(inner, words) for inner in value]
    return value


def dollar_names(value: Any) -> Iterator[str]:
    """The names after a dollar sign in the texts of `value`, however deep."""
    if isinstance(value, str):
        yield from Template(value).get_identifiers()
    elif isinstance(value, Mapping):
        yield from dollar_names(list(value.values()))
    elif isinstance(value, Iterable):
        for inner in value:
            yield from dollar_names(inner)


def folder_name(name: str) -> str:
    """A free name as that of a folder: 'LFW, open set' is 'lfw_open_set'."""
    return "_".join(re.findall(r"[a-z0-9]+", name.lower()))


def near_name(name: str, names: Iterable[str]) -> str:
    """A question that names the nearest of `names`, to end a sentence with; empty if none is."""
    near = difflib.get_close_matches(name, [*names], 1)
    return f" Did you mean '{near[0]}'?" if near else ""
