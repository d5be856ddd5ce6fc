"""A detector for tests of whole folders, and photographs that it understands. Not a test itself."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pocketface.data.alignment import TEMPLATE
from pocketface.detect.detector import Face

WIDTH, HEIGHT = 160, 140


@dataclass
class MadeDetector:
    """Finds as many faces as the first pixel's red says, at the template, each half as large.

    With `pause` it takes its time; with `die` it kills its process at a photograph of 9 faces.
    """

    fingerprint: str = "made"
    pause: float = 0.0
    die: bool = False

    def detect(self, image):
        time.sleep(self.pause)
        count = round(int(image[0, 0, 0]) / 20)
        if self.die and count == 9:
            os._exit(7)
        faces = []
        for number in range(count):
            scale = 0.5**number
            points = TEMPLATE * scale + 10
            faces.append(Face((10, 10, 10 + 110 * scale, 10 + 110 * scale), 0.9, points))
        return faces


def write_photo(path: Path, faces: int = 1, seed: int = 0) -> None:
    pixels = np.random.default_rng(seed).integers(40, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[:4, :4] = faces * 20
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_photos(folder: Path, people: int, each: int) -> list[str]:
    names = [f"person_{p:02d}/{i:03d}.png" for p in range(people) for i in range(each)]
    for seed, name in enumerate(names):
        write_photo(folder / name, 1, seed)
    return names
