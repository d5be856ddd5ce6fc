"""One picture as a plan names it, and the taking of many."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pocketface.synthetic.identity import Identity
from pocketface.synthetic.nuisance import Nuisance, NuisanceRanges
from pocketface.synthetic.population import Population
from pocketface.synthetic.sets.circumstances import Fixed

if TYPE_CHECKING:
    from pocketface.synthetic.render import Rendered

QUALITY = 92
"""JPEG quality of the files, as crops are stored; the picture may have been through a worse one."""

LOOSE_TO_ALIGNED = 200 / 330
"""Millimetres across an aligned crop to those across a loose one."""

_BATCH = 32

_MOMENT = (
    *("yaw", "pitch", "roll", "landmark_shift"),
    *("jaw", "smile", "pucker", "corners_down", "brow_raise", "brow_frown"),
    *("upper_lip_raise", "half_smile", "blink", "squint", "gaze_x", "gaze_y"),
    *("blur", "plate_offset"),
)
"""What differs between two frames of one video; clothes, light, age and camera do not."""


class Renderer(Protocol):
    """What `pocketface.synthetic.render.render` does."""

    def __call__(
        self,
        identities: Sequence[Identity],
        nuisances: Sequence[Nuisance],
        size: int = 112,
        *,
        aligned: bool = True,
    ) -> "Rendered":
        """Picture each person under the nuisance of the same position."""
        ...


class Picture(NamedTuple):
    """A taken picture: its JPEG file, and the true landmarks, float32 (5, 2), x and y in pixels."""

    file: bytes
    landmarks: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shot:
    """One picture to take.

    `person` is a number in the population and `image` one of that person's nuisances, drawn within
    `ranges`; a frame of a video takes its moment (pose, expression) from the nuisance `frame`
    instead. `fixed` then replaces fields. `size` is the height and width in pixels; `aligned` as in
    `render`.
    """

    person: int
    image: int
    ranges: NuisanceRanges
    fixed: Fixed = ()
    frame: int | None = None
    size: int = 112
    aligned: bool = True

    def nuisance(self, population: Population) -> Nuisance:
        """The circumstances; `blur` and `resolution` are those of an aligned crop."""
        found = population.nuisance(self.person, self.image, self.ranges)
        if self.frame is not None:
            moment = population.nuisance(self.person, self.frame, self.ranges)
            found = found.but(**{name: getattr(moment, name) for name in _MOMENT})
        return found.but(**dict(self.fixed))


def take(shots: Sequence[Shot], population: Population, render: Renderer) -> list[Picture]:
    """Take `shots`, in their order. The bytes do not depend on which shots are taken together."""
    pictures: dict[int, Picture] = {}
    for kind in sorted({(shot.size, shot.aligned) for shot in shots}):
        chosen = [i for i, shot in enumerate(shots) if (shot.size, shot.aligned) == kind]
        for start in range(0, len(chosen), _BATCH):
            batch = chosen[start : start + _BATCH]
            taken = _take_alike([shots[i] for i in batch], population, render)
            pictures.update(zip(batch, taken, strict=True))
    return [pictures[i] for i in range(len(shots))]


def _take_alike(
    shots: Sequence[Shot], population: Population, render: Renderer
) -> Iterator[Picture]:
    """Take shots of one size and alignment."""
    import simplejpeg

    size, aligned = shots[0].size, shots[0].aligned
    nuisances = [shot.nuisance(population) for shot in shots]
    if not aligned:
        nuisances = [_loosened(nuisance) for nuisance in nuisances]
    with _one_thread():
        rendered = render(
            [population.person(shot.person) for shot in shots], nuisances, size, aligned=aligned
        )
    for pixels, landmarks in zip(rendered.images, rendered.landmarks, strict=True):
        file = simplejpeg.encode_jpeg(
            np.ascontiguousarray(pixels), quality=QUALITY, colorspace="RGB", colorsubsampling="420"
        )
        yield Picture(bytes(file), landmarks)


def _loosened(nuisance: Nuisance) -> Nuisance:
    """The same blur and resolution of the face in a crop that shows more around it."""
    return nuisance.but(
        blur=nuisance.blur * LOOSE_TO_ALIGNED,
        resolution=min(nuisance.resolution / LOOSE_TO_ALIGNED, 112.0),
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: processes share the work, and threads must not change a sum."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
