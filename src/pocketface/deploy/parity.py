"""Whether an exported file computes what its source computes, tried on drawn images.

The whole way is compared, from pixels to embeddings, in the runtimes that the commands use.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketface.embedding.embedder import Embedder
from pocketface.embedding.resize import resize_faces
from pocketface.embedding.unit import similarity_of, squared_distances, unit

LEAST_COSINE = 1 - 1e-6
"""Embeddings must point the same way, for every image: a bound of ours."""

MOST_RELATIVE = 1e-4
"""Largest |a - b| / |b| allowed, for every image: a bound of ours."""

BATCHES = (1, 1, 2, 5, 27)
"""How many images each run of the exported file takes."""

_FACES = 24
"""How many of them are synthetic faces; the rest is noise, which strays farther than faces do."""

_GRIDS = (2, 4, 8, 16)
"""Sides of the coarse random pictures behind the noise: from slow shades to fine structure."""


@dataclass(frozen=True)
class Parity:
    """How near two networks came on `faces` images.

    Attributes:
        faces: number of images.
        cosine: the least cosine similarity of an image's two embeddings.
        relative: the largest length of their difference, over the length of the source's.
    """

    faces: int
    cosine: float
    relative: float

    @property
    def holds(self) -> bool:
        """Whether the bounds for float32 are kept; not so where a figure is no number."""
        return self.within(LEAST_COSINE, MOST_RELATIVE)

    def within(self, least_cosine: float, most_relative: float) -> bool:
        """Whether these bounds are kept; not so where a figure is no number."""
        return self.cosine >= least_cosine and self.relative <= most_relative


def measure_parity(source: Embedder, exported: Embedder, generator: np.random.Generator) -> Parity:
    """Embed drawn images with both and compare; `exported` runs in batches of `BATCHES`.

    Raises WeightsError where an embedding is not finite, or is zero and so has no direction.
    """
    size = source.preprocessing.image_size
    noise = draw_images(sum(BATCHES) - _FACES, size, generator)
    images = np.concatenate([draw_faces(_FACES, size, generator), noise])
    wanted = source.embed(images)
    parts = np.split(images, np.cumsum(BATCHES)[:-1])
    return compare(wanted, np.concatenate([exported.embed(part) for part in parts]))


def compare(wanted: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> Parity:
    """Compare float32 (N, D) embeddings row by row, in float64.

    Raises WeightsError where a row is zero or not finite.
    """
    cosine = similarity_of(squared_distances(unit(wanted), unit(found)))
    difference = np.linalg.norm(found.astype(np.float64) - wanted, axis=1)
    relative = difference / np.linalg.norm(wanted.astype(np.float64), axis=1)
    return Parity(len(wanted), float(cosine.min()), float(relative.max()))


def draw_faces(count: int, size: int, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw people that never lived, a picture of each, aligned; uint8 (count, size, size, 3)."""
    from pocketface.synthetic import Population
    from pocketface.synthetic.render import render

    population = Population(int(generator.integers(2**32)))
    pictures = render(
        [population.person(index) for index in range(count)],
        [population.nuisance(index, 0) for index in range(count)],
    )
    return resize_faces(pictures.images, size)


def draw_images(count: int, size: int, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw smooth noise: random pictures of a few pixels, enlarged; uint8 (count, size, size, 3).

    Like a photograph, and unlike white noise, it differs little from pixel to pixel and much from
    place to place.
    """
    images = np.empty((count, size, size, 3), np.uint8)
    for index in range(count):
        side = _GRIDS[index % len(_GRIDS)]
        coarse = generator.integers(0, 256, (side, side, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        images[index] = np.asarray(picture)
    return images
