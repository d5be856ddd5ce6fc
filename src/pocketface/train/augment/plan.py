"""What is to be done to each image of a batch, drawn for all processes together.

All random numbers of one global batch come from (seed, epoch, step), so the same images are
treated alike whether one process trains or several, resumed or not.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from pocketface.train.augment.config import AugmentConfig

Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AugmentPlan:
    """One row, or entry, per image.

    Attributes:
        mirrored: bool (N,).
        offsets: int64 (N, 2), pixels down and to the right at which the image is read.
        brightness: (N,), factors.
        contrast: (N,), factors.
        erased: (N, 3), side, top and left of a square; the side as a share of the image's, 0 for
            none, the others as shares of the room that is left.
        crops: (N, 3), the same of what is cut out and enlarged; a side of 1 is the whole image.
        gains: (N, 3), factors of red, green and blue.
        saturation: (N,), factors; 0 is grey.
        blur: (N,), standard deviations in pixels.
        resolution: (N,), shares of the side's pixels that are left.
    """

    mirrored: npt.NDArray[np.bool_]
    offsets: npt.NDArray[np.int64]
    brightness: Numbers
    contrast: Numbers
    erased: Numbers
    crops: Numbers
    gains: Numbers
    saturation: Numbers
    blur: Numbers
    resolution: Numbers

    def part(self, rows: slice | npt.NDArray[np.intp]) -> "AugmentPlan":
        """The plan of some rows of the batch, such as one process's share."""
        return AugmentPlan(*(getattr(self, field.name)[rows] for field in fields(self)))


def draw_plan(config: AugmentConfig, rng: np.random.Generator, count: int) -> AugmentPlan:
    """Draw the plan for `count` images.

    Every number is drawn whether it is used or not, so that turning one augmentation on leaves
    the others as they were. An augmentation to come draws after all others, for the same reason.
    """
    first = rng.random((9, count), np.float32)
    more = rng.random((10, count), np.float32)
    size = (first[5] < config.erase) * (0.1 + 0.4 * first[6])
    saturation = 1 + config.saturation * (2 * more[6] - 1)
    return AugmentPlan(
        mirrored=(first[0] < 0.5) & config.mirror,
        offsets=(first[1:3].T * (2 * config.shift + 1)).astype(np.int64) - config.shift,
        brightness=1 + config.brightness * (2 * first[3] - 1),
        contrast=1 + config.contrast * (2 * first[4] - 1),
        erased=np.stack([size, first[7], first[8]], axis=1),
        crops=np.stack([1 - config.crop * more[0], more[1], more[2]], axis=1),
        gains=1 + config.colour * (2 * more[3:6].T - 1),
        saturation=np.where(more[7] < config.grey, np.float32(0), saturation),
        blur=config.blur * more[8],
        resolution=1 - config.low_resolution * more[9],
    )
