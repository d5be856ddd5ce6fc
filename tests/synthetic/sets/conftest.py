from collections.abc import Callable, Sequence
from pathlib import Path

import fake_renderer
import pytest

from pocketface.synthetic.sets import Made, choose_sets, make_sets

Make = Callable[..., list[Made]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make tiny sets with the fake renderer: make("lfw", scale=0.05) -> what was made."""

    def tiny(
        *only: str,
        root: Path = tmp_path / "out",
        seed: int = 5,
        workers: int = 1,
        render: Callable[..., object] = fake_renderer.render,
        **options: object,
    ) -> list[Made]:
        defaults = {"scale": 0.05, "people": 3, "images_per_person": 2, "size": 32}
        recipes = choose_sets(only or None, **(defaults | options))  # type: ignore[arg-type]
        return make_sets(root, recipes, seed, workers=workers, render=render)

    return tiny


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder by its path."""

    def read(root: Path, names: Sequence[str] = ("**/*",)) -> dict[str, bytes]:
        files = [file for name in names for file in sorted(root.glob(name)) if file.is_file()]
        return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}

    return read
