"""What happens to a batch's pixels before the networks see them.

All random numbers of one global batch are drawn together from (seed, epoch, step), so the same
images are treated alike whether one process trains or several, resumed or not.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor


class AugmentConfig(BaseModel):
    """Augmentations of a recipe; the default is PocketNet's: a mirror image half of the time.

    The others are ours: `shift` moves the face by up to so many pixels in each direction (the
    border is reflected), `brightness` and `contrast` scale by up to 1 +- the number, `erase`
    greys a random square of up to half the side with that probability.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mirror: bool = True
    shift: int = Field(default=0, ge=0)
    brightness: float = Field(default=0.0, ge=0, lt=1)
    contrast: float = Field(default=0.0, ge=0, lt=1)
    erase: float = Field(default=0.0, ge=0, le=1)


@dataclass(frozen=True)
class AugmentPlan:
    """What is to be done to each image of a batch: one row, or entry, per image."""

    mirrored: npt.NDArray[np.bool_]
    offsets: npt.NDArray[np.int64]
    brightness: npt.NDArray[np.float32]
    contrast: npt.NDArray[np.float32]
    erased: npt.NDArray[np.float32]

    def part(self, rows: slice | npt.NDArray[np.intp]) -> "AugmentPlan":
        """The plan of some rows of the batch, such as one process's share."""
        return AugmentPlan(
            self.mirrored[rows],
            self.offsets[rows],
            self.brightness[rows],
            self.contrast[rows],
            self.erased[rows],
        )


def draw_plan(config: AugmentConfig, rng: np.random.Generator, count: int) -> AugmentPlan:
    """Draw the plan for `count` images.

    Every number is drawn whether it is used or not, so that turning one augmentation on leaves
    the others as they were.
    """
    drawn = rng.random((9, count), np.float32)
    size = (drawn[5] < config.erase) * (0.1 + 0.4 * drawn[6])
    return AugmentPlan(
        (drawn[0] < 0.5) & config.mirror,
        (drawn[1:3].T * (2 * config.shift + 1)).astype(np.int64) - config.shift,
        1 + config.brightness * (2 * drawn[3] - 1),
        1 + config.contrast * (2 * drawn[4] - 1),
        np.stack([size, drawn[7], drawn[8]], axis=1),
    )


def augment(images: Tensor, plan: AugmentPlan, config: AugmentConfig) -> Tensor:
    """Carry out `plan` on uint8 (N, H, W, 3) images; gives uint8 of the same shape."""
    mirrored = torch.from_numpy(plan.mirrored).to(images.device)
    images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(2), images)
    if config.shift:
        images = _shift(images, plan.offsets, config.shift)
    if config.brightness or config.contrast:
        images = _relight(images, plan)
    if config.erase:
        images = _erase(images, plan.erased)
    return images


def _shift(images: Tensor, offsets: npt.NDArray[np.int64], reach: int) -> Tensor:
    height, width = images.shape[1:3]
    padded = F.pad(images.permute(0, 3, 1, 2).float(), (reach,) * 4, mode="reflect")
    padded = padded.permute(0, 2, 3, 1).to(torch.uint8)
    rows = torch.from_numpy(offsets[:, 0] + reach).to(images.device)
    columns = torch.from_numpy(offsets[:, 1] + reach).to(images.device)
    batch = torch.arange(len(images), device=images.device).view(-1, 1, 1)
    down = rows.view(-1, 1, 1) + torch.arange(height, device=images.device).view(1, -1, 1)
    across = columns.view(-1, 1, 1) + torch.arange(width, device=images.device).view(1, 1, -1)
    return padded[batch, down, across]


def _relight(images: Tensor, plan: AugmentPlan) -> Tensor:
    values = images.float()
    mean = values.mean(dim=(1, 2, 3), keepdim=True)
    contrast = torch.from_numpy(plan.contrast).to(images.device).view(-1, 1, 1, 1)
    brightness = torch.from_numpy(plan.brightness).to(images.device).view(-1, 1, 1, 1)
    values = ((values - mean) * contrast + mean) * brightness
    return values.round().clamp(0, 255).to(torch.uint8)


def _erase(images: Tensor, erased: npt.NDArray[np.float32]) -> Tensor:
    height, width = images.shape[1:3]
    squares = torch.from_numpy(erased).to(images.device)
    side, top, left = squares[:, 0], squares[:, 1], squares[:, 2]
    y = torch.arange(height, device=images.device).view(1, -1, 1) / height
    x = torch.arange(width, device=images.device).view(1, 1, -1) / width
    above = (top * (1 - side)).view(-1, 1, 1)
    beside = (left * (1 - side)).view(-1, 1, 1)
    reach = side.view(-1, 1, 1)
    inside = (y >= above) & (y < above + reach) & (x >= beside) & (x < beside + reach)
    return images.masked_fill(inside.unsqueeze(-1), 127)
