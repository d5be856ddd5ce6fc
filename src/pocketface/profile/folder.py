"""The folder that profiling leaves: JSON for programs, Markdown, HTML and pictures for people."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from pocketface import atomic
from pocketface.errors import DataError
from pocketface.profile.page import page
from pocketface.profile.pictures import latency_png, layers_png
from pocketface.profile.result import Profile
from pocketface.profile.text import markdown
from pocketface.profile.tradeoff import Tradeoff
from pocketface.profile.tradeoff_picture import tradeoff_png


def pictures_of(result: Profile, tradeoffs: Sequence[Tradeoff]) -> dict[str, bytes]:
    """The pictures, PNG files by file name."""
    found: dict[str, bytes] = {}
    latency = latency_png(result)
    if latency is not None:
        found["latency.png"] = latency
    layered = [model for model in result.models if model.layers is not None]
    for model in layered:
        assert model.layers is not None
        name = "layers.png" if len(layered) == 1 else f"layers_{_file_name(model.name)}.png"
        found[name] = layers_png(model.name, model.layers)
    for tradeoff in tradeoffs:
        found[f"tradeoff_{_file_name(tradeoff.column)}.png"] = tradeoff_png(tradeoff)
    return found


def write_profile(folder: Path, result: Profile, tradeoffs: Sequence[Tradeoff]) -> Path:
    """Write `profile.json`, `.md`, `.html` and `figures/*.png` to `folder`; gives the page's path.

    Raises DataError if the folder cannot be written.
    """
    pictures = pictures_of(result, tradeoffs)
    target = folder / "profile.html"
    try:
        atomic.write_text(folder / "profile.json", result.model_dump_json(indent=1) + "\n")
        for name, content in pictures.items():
            atomic.write_bytes(folder / "figures" / name, content)
        told = markdown(result, [f"figures/{name}" for name in pictures])
        atomic.write_text(folder / "profile.md", told)
        atomic.write_text(target, page(result, pictures))
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written: {error.strerror or error}. Choose another --out."
        ) from error
    return target


def read_profile(path: Path) -> Profile:
    """Read a `profile.json`. DataError if it is none."""
    try:
        return Profile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{path} is no profile: {str(error).splitlines()[0]}. Write one with: pocketface "
            "profile MODEL --out FOLDER"
        ) from error


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
