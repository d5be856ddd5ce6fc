"""A plan carried out on a whole batch, on the device where it lies."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pocketface.train.augment.config import AugmentConfig
from pocketface.train.augment.light import relight, tint
from pocketface.train.augment.place import erase, mirror, shift
from pocketface.train.augment.plan import AugmentPlan
from pocketface.train.augment.resample import blurring, coarsening, cropping, resample


def augment(images: Tensor, plan: AugmentPlan, config: AugmentConfig) -> Tensor:
    """Carry out `plan` on uint8 (N, H, W, 3) images; gives uint8 of the same shape.

    What only moves pixels works on bytes. All that computes works on one copy in float32, which is
    rounded once; what is taken from a crop, a blur and a lower resolution is one resampling.
    """

    def here(numbers: npt.NDArray[np.generic]) -> Tensor:
        # From memory that is not pinned this waits for no kernel, and is safe: it is staged first.
        return torch.from_numpy(numbers).to(images.device, non_blocking=True)

    if config.mirror:
        images = mirror(images, here(plan.mirrored))
    if config.shift:
        images = shift(images, here(plan.offsets))
    maps = []
    height, width = images.shape[1:3]
    if config.crop:
        maps.append(cropping(here(plan.crops), height, width))
    if config.blur:
        maps.append(blurring(here(plan.blur), height, width))
    if config.low_resolution:
        maps.append(coarsening(here(plan.resolution), height, width))
    relights = bool(config.brightness or config.contrast)
    tints = bool(config.colour or config.saturation or config.grey)
    if maps or relights or tints:
        values = images.float()
        if maps:
            values = resample(values, maps)
        if relights:
            values = relight(values, here(plan.brightness), here(plan.contrast))
        if tints:
            values = tint(values, here(plan.gains), here(plan.saturation))
        images = values.round().clamp(0, 255).to(torch.uint8)
    if config.erase:
        images = erase(images, here(plan.erased))
    return images
