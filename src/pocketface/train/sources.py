"""From a recipe's words on data to the training set."""

import json
from pathlib import Path

from pocketface.data import ConcatFaces, Faces, open_faces, open_unlabelled
from pocketface.errors import DataError, RecipeError
from pocketface.train.recipe import DataConfig


def open_sources(config: DataConfig) -> Faces:
    """Open all sources of a recipe as one training set.

    Where `config.people` names a list, folders give these people only, and must have them all;
    RecordIO sources, whose people have no names, are used whole. Unlabelled images come last, with
    label -1.

    Raises:
        RecipeError: if the recipe names no source.
        DataError: if a source, or the list of people, cannot be used, or there is one person.
    """
    if not config.train and not config.unlabelled:
        raise RecipeError("the recipe names no training images. Give them with --data.")
    names = None if config.people is None else read_people(config.people)
    sources = [
        opened(path, None if _is_record(path) else names)
        for opened, paths in ((open_faces, config.train), (open_unlabelled, config.unlabelled))
        for path in paths
    ]
    faces = sources[0] if len(sources) == 1 else ConcatFaces(sources)
    if config.train and len(faces.people) < 2:
        raise DataError(
            "the training set has 1 person, and a network learns to tell people apart: it needs "
            "at least two. Give a folder that holds one folder per person, or a longer list."
        )
    return faces


def describe_faces(faces: Faces) -> str:
    """How many images of how many people a training set has, in words."""
    unknown = int((faces.labels < 0).sum())
    if unknown == len(faces):
        return f"{len(faces):,} images without identities"
    known = f"{len(faces) - unknown:,} images of {len(faces.people):,} people"
    return known + (f" and {unknown:,} without identities" if unknown else "")


def read_people(path: Path) -> list[str]:
    """Read names of people: a JSON list, a JSON object with a list `train`, or lines of text.

    Raises:
        DataError: if the file is missing or holds none of these.
    """
    if not path.is_file():
        raise DataError(f"no list of people at {path}. Give a JSON list, or a name per line.")
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".json":
        names: object = [line.strip() for line in text.splitlines() if line.strip()]
    else:
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(f"{path} is not JSON: {error}") from error
        names = content.get("train") if isinstance(content, dict) else content
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise DataError(
            f"{path} must hold a list of names, as JSON (or under the key 'train'), or one a line."
        )
    return names


def _is_record(path: Path) -> bool:
    return path.suffix == ".rec" or (path / "train.rec").is_file()
