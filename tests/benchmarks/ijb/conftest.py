"""Miniature sets in the true format, drawn in seconds: coarse patterns instead of faces."""

from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import copytree
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
    """The person's pattern where the aligned face will be cut out, changed by the moment."""
    images = np.empty((len(identities), size, size, 3), np.uint8)
    landmarks = np.empty((len(identities), 5, 2), np.float32)
    scale = size / 150
    for i, (person, n) in enumerate(zip(identities, nuisances, strict=True)):
        pattern = 128 + 35 * np.resize(person.coefficients, (6, 6, 3))
        moment = np.sin(np.arange(108).reshape(6, 6, 3) * (1 + abs(n.yaw) + n.age))
        pattern = pattern + 25 * moment + 6 * n.landmark_shift[0, 0]
        rows = np.clip(np.arange(size) * 6 // size, 0, 5)
        images[i] = np.clip(pattern[rows][:, rows], 0, 255).astype(np.uint8)
        landmarks[i] = (TEMPLATE + 19) * scale
    return Picture(images, landmarks)


class PatternEmbedder:
    """A 4 x 4 look at the face, times a fixed matrix; lengths differ, as they do in networks.

    All numbers are whole and small, so that sums, and products with a whole `scale`, are exact.
    """

    embedding_size = 24
    preprocessing = Preprocessing(image_size=112)
    card = None

    def __init__(self, fingerprint: str = "patterns", *, seed: int = 0, scale: int = 1) -> None:
        self.fingerprint = fingerprint
        self.images = 0
        self._matrix = scale * np.random.default_rng(seed).integers(-8, 9, (4 * 4 * 3, 24))

    def embed(self, images: np.ndarray) -> np.ndarray:
        self.images += len(images)
        coarse = images.reshape(len(images), 4, 28, 4, 28, 3).mean(axis=(2, 4))
        numbers = np.rint(coarse.reshape(len(images), -1) - 128).astype(np.int64)
        return (numbers @ self._matrix).astype(np.float32)


@pytest.fixture(scope="session")
def pattern_embedder() -> type[PatternEmbedder]:
    return PatternEmbedder


@pytest.fixture(scope="session")
def drawn_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ijb")
    recipes = choose_sets(("ijbb", "ijbc"), scale=0.1)  # 20 people each
    make_sets(root, recipes, 3, workers=1, render=render)
    return root


@pytest.fixture
def ijb_set(drawn_sets: Path, tmp_path: Path) -> Callable[..., Path]:
    """A set's folder with meta files of its own, to be changed; images are shared."""

    def give(name: str = "ijbc", at: str = "set") -> Path:
        source = drawn_sets / name.upper()
        folder = tmp_path / at
        copytree(source / "meta", folder / "meta")
        (folder / "loose_crop").symlink_to(source / "loose_crop")
        return folder

    return give
