"""`synth.json`: what a folder of synthetic sets holds, and how it was made."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pocketface
from pocketface import atomic
from pocketface.errors import DataError, RecipeError
from pocketface.synthetic.sets.recipe import SetPlan, SetRecipe

FILE = "synth.json"
SUMS = "sums"
"""Folder of the sets' checksums: `sha256sum -c sums/lfw.sha256` checks a set."""

_FORMAT = 1


class Manifest:
    """The manifest of the folder `root`, whose sets all come from one `seed`.

    Raises RecipeError if the folder belongs to another seed, DataError if its manifest is broken.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.seed = seed
        self.sets: dict[str, dict[str, Any]] = {}
        path = root / FILE
        if not path.is_file():
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            number, there, self.sets = found["format"], found["seed"], found["sets"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: cannot be read as a list of synthetic sets: {error!r}. Restore it, or "
                "choose another folder."
            ) from error
        if number != _FORMAT:
            raise DataError(
                f"{path}: has format {number}, this version reads {_FORMAT}. Choose another folder."
            )
        if there != seed:
            raise RecipeError(
                f"{root} holds people of seed {there}, not {seed}. Choose another folder for "
                f"seed {seed}, or add --seed {there}."
            )

    def save(self) -> None:
        """Write it, whole or not at all."""
        # By name: the order in which sets were finished must not show.
        sets = {name: self.sets[name] for name in sorted(self.sets)}
        content = {"format": _FORMAT, "seed": self.seed, "sets": sets}
        atomic.write_text(self.root / FILE, json.dumps(content, indent=2) + "\n")

    def holds(self, recipe: SetRecipe) -> bool:
        """Whether the set is there already, made by the same options.

        Raises RecipeError if it was made by other options, DataError if its files have changed.
        """
        output = self.root / recipe.output
        entry = self.sets.get(recipe.name)
        if entry is None or not output.exists():
            return False
        if entry["options"] != dict(recipe.options):
            raise RecipeError(
                f"{output} was made with {_shown(entry['options'])}, now asked for is "
                f"{_shown(dict(recipe.options))}. Choose another folder, or delete it first."
            )
        sizes = [file.stat().st_size for file in _files(output)]
        if (len(sizes), sum(sizes)) != (entry["files"], entry["bytes"]):
            raise DataError(
                f"{output} has {len(sizes):,} files of {sum(sizes):,} bytes; {entry['files']:,} "
                f"files of {entry['bytes']:,} bytes were made. Delete it and run again."
            )
        return True

    def add(self, recipe: SetRecipe, plan: SetPlan) -> None:
        """Record a set whose files are there, with the checksums of all of them."""
        files = _files(self.root / recipe.output)
        sums = "".join(f"{_sha256(file)}  {file.relative_to(self.root)}\n" for file in files)
        atomic.write_text(self.root / SUMS / f"{recipe.name}.sha256", sums)
        self.sets[recipe.name] = {
            "output": recipe.output,
            "options": dict(recipe.options),
            "counts": dict(plan.counts),
            "made_by": made_by(),
            "files": len(files),
            "bytes": sum(file.stat().st_size for file in files),
            "sha256": hashlib.sha256(sums.encode()).hexdigest(),
        }
        self.save()


def made_by() -> dict[str, str]:
    """The versions that decide the bytes; `generator` is of this room's own sources.

    Textures are left out: nothing of theirs is in a picture of a person.
    """
    room = Path(__file__).parents[1]
    sources = [file for file in room.rglob("*.py") if file.parent.name != "textures"]
    return versions(room, sources, ("numpy", "torch", "simplejpeg"))


def versions(room: Path, sources: Iterable[Path], packages: Iterable[str]) -> dict[str, str]:
    """The version of PocketFace, those of `packages`, and the sha256 of `sources` in `room`."""
    digest = hashlib.sha256()
    for source in sorted(sources):
        digest.update(source.relative_to(room).as_posix().encode() + b"\0" + source.read_bytes())
    return {
        "pocketface": pocketface.__version__,
        "generator": digest.hexdigest(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _files(output: Path) -> list[Path]:
    if output.is_file():
        return [output]
    return sorted(file for file in output.rglob("*") if file.is_file())


def _shown(options: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())
