import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image


@pytest.fixture(scope="session")
def draw_jpeg() -> Callable[..., bytes]:
    """A small JPEG whose pixels depend on the seed."""

    def draw(seed: int, size: int = 16) -> bytes:
        coarse = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), dtype=np.uint8)
        pixels = np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BILINEAR))
        return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=90))

    return draw


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Encode a Pillow image in any of Pillow's formats."""

    def to_bytes(image: Image.Image, kind: str, **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return to_bytes


@pytest.fixture
def people_folder(tmp_path: Path, draw_jpeg) -> Path:
    """Ann with 3 images, Bob with 1, Cid with 2."""
    root = tmp_path / "people"
    for seed, (person, count) in enumerate([("Ann", 3), ("Bob", 1), ("Cid", 2)]):
        (root / person).mkdir(parents=True)
        for n in range(1, count + 1):
            (root / person / f"{person}_{n:04d}.jpg").write_bytes(draw_jpeg(100 * seed + n))
    return root
