"""Making a set of textures as a training set, so that a stop loses little.

An unfinished set has a folder `<out>.partial` beside its place, with its options and its images in
parts. When all parts are there the set is written beside them and renamed to its place.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pocketface import atomic
from pocketface.data.write_set import Layout, write_set
from pocketface.errors import DataError, RecipeError, StoppedError
from pocketface.synthetic.sets.manifest import versions
from pocketface.synthetic.sets.shot import QUALITY, Renderer
from pocketface.synthetic.sets.workers import take_parts
from pocketface.synthetic.textures.picture import picture
from pocketface.synthetic.textures.texture import Texture, draw_texture, stream

FILE = "textures.json"
"""What a set of textures holds and how it was made; it lies in the set's folder."""

PART = 64
"""Images in a part: what a stop can lose in each process."""


@dataclass(frozen=True)
class TextureRecipe:
    """All that decides the bytes of a set: `images` of each of `classes`, `size` pixels square.

    Raises RecipeError for a number out of range.
    """

    classes: int = 100
    images: int = 40
    size: int = 112
    layout: Layout = "rec"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.classes < 1 or self.images < 1:
            raise RecipeError(
                "a set needs at least one class and one image of each, got "
                f"{self.classes} classes and {self.images} images."
            )
        if not 16 <= self.size <= 1024:
            raise RecipeError(f"the size must be 16 to 1,024 pixels, got {self.size}.")
        if self.layout not in ("folder", "rec"):
            raise RecipeError(f"the layout must be 'folder' or 'rec', got '{self.layout}'.")
        if not 0 <= self.seed < 2**32:
            raise RecipeError(f"the seed must lie in [0, 2^32), got {self.seed}.")


@dataclass(frozen=True)
class TexturesMade:
    """A set that is there; `kept` and `other_version` as in `sets.make.Made`."""

    path: Path
    bytes: int
    kept: bool = False
    other_version: bool = False


@dataclass(frozen=True)
class TextureJob:
    """The images `first` up to `end` of a set, class by class, to be written to `path`."""

    path: Path
    recipe: TextureRecipe
    first: int
    end: int

    def run(self, render: Renderer | None = None) -> None:
        """Draw the images and write them; `render` is for people and has no meaning here."""
        import simplejpeg

        texture: tuple[int, Texture] | None = None
        files = []
        for place in range(self.first, self.end):
            number, image = divmod(place, self.recipe.images)
            if texture is None or texture[0] != number:
                texture = number, draw_texture(self.recipe.seed, number)
            rng = stream(self.recipe.seed, "image", number, image)
            pixels = picture(texture[1], rng, self.recipe.size)
            files.append(simplejpeg.encode_jpeg(pixels, QUALITY, "RGB", "444"))
        ends = np.cumsum([len(file) for file in files])
        with atomic.atomic_path(self.path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, files=np.frombuffer(b"".join(files), np.uint8), ends=ends)

    def read(self) -> Iterator[bytes]:
        """The JPEG files that `run` wrote."""
        with np.load(self.path, allow_pickle=False) as part:
            files, ends = part["files"].tobytes(), part["ends"].tolist()
        for first, end in zip([0, *ends[:-1]], ends, strict=True):
            yield files[first:end]


def make_textures(
    out: Path,
    recipe: TextureRecipe,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TexturesMade:
    """Make the set in the folder `out`, unless it is there.

    The bytes depend on the recipe alone, never on `workers` or on an interruption. `progress` is
    told the images drawn and all that this run has to draw.

    Raises RecipeError if `out` holds another set, DataError if it holds something else or cannot
    be written, StoppedError on Ctrl-C: then whole parts are kept.
    """
    try:
        return _kept(out, recipe) or _make(out, recipe, workers, progress)
    except OSError as error:
        raise DataError(
            f"{error.filename or out} cannot be written: {error.strerror}. What is whole is kept: "
            "put it right and run the same command again."
        ) from error


def _kept(out: Path, recipe: TextureRecipe) -> TexturesMade | None:
    if not out.exists():
        return None
    about = _read(out / FILE)
    if about is None:
        raise DataError(
            f"{out} is there and is no set of textures (it has no {FILE}). Choose another folder."
        )
    if about.get("options") != asdict(recipe):
        raise RecipeError(
            f"{out} holds textures of {_shown(about.get('options'))}; now asked for is "
            f"{_shown(asdict(recipe))}. Choose another folder, or delete it first."
        )
    found = _size(out)
    if found != about.get("bytes"):
        raise DataError(
            f"{out} has {found:,} bytes of images, {about.get('bytes'):,} were made. Delete it and "
            "run again."
        )
    return TexturesMade(out, found, kept=True, other_version=about.get("made_by") != _made_by())


def _make(
    out: Path, recipe: TextureRecipe, workers: int, progress: Callable[[int, int], None]
) -> TexturesMade:
    folder = out.with_name(f"{out.name}.partial")
    about: dict[str, Any] = {"options": asdict(recipe), "made_by": _made_by()}
    if not folder.exists():
        atomic.write_text(folder / FILE, json.dumps(about, indent=2) + "\n")
    elif _read(folder / FILE) != about:
        raise DataError(
            f"{folder} holds a set begun with other options or by another version. Finish it with "
            "the command that began it, or delete the folder."
        )
    total = recipe.classes * recipe.images
    jobs = [
        TextureJob(folder / f"part_{first:09d}.npz", recipe, first, min(first + PART, total))
        for first in range(0, total, PART)
    ]
    missing = [job for job in jobs if not job.path.is_file()]
    done, wanted = 0, sum(job.end - job.first for job in missing)
    progress(done, wanted)
    try:
        with closing(take_parts(missing, workers)) as finished:
            for job in finished:
                done += job.end - job.first
                progress(done, wanted)
    except KeyboardInterrupt as stop:
        there = sum(job.end - job.first for job in jobs if job.path.is_file())
        raise StoppedError(
            f"stopped; {there:,} of {total:,} images are kept in {folder}. "
            "Run the same command again to go on."
        ) from stop
    return _finish(out, folder, jobs, about)


def _finish(out: Path, folder: Path, jobs: list[TextureJob], about: dict[str, Any]) -> TexturesMade:
    """Write the set from its parts and put it in its place."""
    recipe = jobs[0].recipe
    whole = folder / "whole"
    if whole.exists():
        shutil.rmtree(whole)
    names = [f"texture_{number:06d}" for number in range(recipe.classes)]
    images = (file for job in jobs for file in job.read())
    write_set(whole, names, [recipe.images] * recipe.classes, images, recipe.layout)
    size = _size(whole)
    atomic.write_text(whole / FILE, json.dumps(about | {"bytes": size}, indent=2) + "\n")
    os.sync()  # once for all files
    whole.replace(out)
    atomic.sync_folder(out.parent)
    shutil.rmtree(folder)
    return TexturesMade(out, size)


def _read(path: Path) -> dict[str, Any] | None:
    """What a file of ours says; None if it is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _size(folder: Path) -> int:
    """The bytes of the set's files, its own description aside."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != FILE)
    return sum(file.stat().st_size for file in files)


def _made_by() -> dict[str, str]:
    room = Path(__file__).parent
    return versions(room, room.glob("*.py"), ("numpy", "simplejpeg"))


def _shown(options: Any) -> str:
    if not isinstance(options, dict):
        return "unknown options"
    return ", ".join(f"{name} {value}" for name, value in options.items())
