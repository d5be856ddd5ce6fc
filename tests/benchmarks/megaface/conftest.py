"""A miniature MegaFace in the true format, drawn in a moment: coarse patterns instead of faces."""

from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import copy, copytree
from typing import NamedTuple

import numpy as np
import pytest

from pocketface.data.alignment import TEMPLATE
from pocketface.preprocessing import Preprocessing
from pocketface.synthetic.identity import Identity
from pocketface.synthetic.nuisance import Nuisance
from pocketface.synthetic.sets import choose_sets, make_sets


class Picture(NamedTuple):
    images: np.ndarray
    landmarks: np.ndarray


def render(
    identities: Sequence[Identity],
    nuisances: Sequence[Nuisance],
    size: int = 112,
    *,
    aligned: bool = True,
) -> Picture:
    """The person's pattern, changed by the moment."""
    assert aligned
    images = np.empty((len(identities), size, size, 3), np.uint8)
    for i, (person, n) in enumerate(zip(identities, nuisances, strict=True)):
        pattern = 128 + 35 * np.resize(person.coefficients, (4, 4, 3))
        moment = np.sin(np.arange(48).reshape(4, 4, 3) * (1 + abs(n.yaw) + n.age))
        grid = np.clip(pattern + 25 * moment + 6 * n.landmark_shift[0, 0], 0, 255)
        images[i] = np.kron(grid, np.ones((size // 4, size // 4, 1))).astype(np.uint8)
    return Picture(images, np.broadcast_to(TEMPLATE, (len(identities), 5, 2)))


class PatternEmbedder:
    """A 4 x 4 look at the face, times a fixed matrix."""

    embedding_size = 24
    preprocessing = Preprocessing(image_size=112)
    card = None

    def __init__(self, fingerprint: str = "patterns", *, seed: int = 0) -> None:
        self.fingerprint = fingerprint
        self.images = 0
        self._matrix = np.random.default_rng(seed).standard_normal((48, 24))

    def embed(self, images: np.ndarray) -> np.ndarray:
        self.images += len(images)
        coarse = images.reshape(len(images), 4, 28, 4, 28, 3).mean(axis=(2, 4))
        return ((coarse.reshape(len(images), -1) - 128) @ self._matrix).astype(np.float32)


@pytest.fixture(scope="session")
def pattern_embedder() -> type[PatternEmbedder]:
    return PatternEmbedder


@pytest.fixture(scope="session")
def drawn_megaface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 people with 10 probes each, 800 distractors; 2 probes and 3 distractors are noise."""
    root = tmp_path_factory.mktemp("megaface")
    (made,) = make_sets(root, choose_sets(("megaface",), scale=0.4), 3, workers=1, render=render)
    return made.path


@pytest.fixture
def megaface_set(drawn_megaface: Path, tmp_path: Path) -> Callable[..., Path]:
    """A folder with lists of its own, to be changed; images are shared unless `own`."""

    def give(at: str = "set", *, own: bool = False, noises: bool = True) -> Path:
        folder = tmp_path / at
        copytree(drawn_megaface / "templatelists", folder / "templatelists")
        for name in ("facescrub", "megaface"):
            if own:
                copytree(drawn_megaface / name, folder / name)
            else:
                (folder / name).symlink_to(drawn_megaface / name)
            if noises:
                copy(drawn_megaface / f"{name}_noises.txt", folder)
        return folder

    return give
