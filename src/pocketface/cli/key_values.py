"""`--set KEY=VALUE`: any setting of a recipe or a search, as it is typed."""

from collections.abc import Iterable
from typing import Any


def key_values(texts: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """The values by dotted key; a value is read as YAML.

    Raises:
        RecipeError: for what has no `=`, and for a value that is not YAML.
    """
    import yaml

    from pocketface.errors import RecipeError

    changes: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise RecipeError(f"{option} takes KEY=VALUE, such as epochs=10. Got '{text}'.")
        try:
            changes[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise RecipeError(f"the value in {option} {text} is not YAML: {error}") from error
    return changes
