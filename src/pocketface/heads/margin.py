"""Margin-softmax heads: cross-entropy over scaled cosines with a margin on the true class.

Shapes: N images, D numbers of an embedding, C classes (people).
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketface.heads.cosine import cosines

UNKNOWN = -1
"""The label of an image of nobody known."""

SPREAD = 0.01
"""The standard deviation of the numbers of initial centres."""


def check_arguments(embedding_size: int, classes: int, scale: float, margin: float) -> None:
    """Raise ValueError if a size is not positive, or scale or margin lies outside its range."""
    if embedding_size < 1 or classes < 1:
        raise ValueError(
            f"embedding_size and classes must be at least 1. "
            f"Got {embedding_size} and {classes} instead."
        )
    if not 0 < scale < math.inf:
        raise ValueError(f"scale must be a float above 0. Got {scale} instead.")
    if not 0 <= margin < math.pi / 2:
        raise ValueError(f"margin must be a float in [0, pi/2). Got {margin} instead.")


def additive_angle(cosine: Tensor, margin: float) -> Tensor:
    """cos(theta + m), and beyond theta + m = pi cos(theta) - m sin(pi - m); see ArcFace."""
    # The root's slope is infinite at |cos| = 1: below the floor its gradient is cut to zero.
    sine = (1.0 - cosine.square()).clamp_min(1e-12).sqrt()
    turned = cosine * math.cos(margin) - sine * math.sin(margin)
    beyond = cosine - margin * math.sin(math.pi - margin)
    return torch.where(cosine > math.cos(math.pi - margin), turned, beyond)


def additive_cosine(cosine: Tensor, margin: float) -> Tensor:
    """cos(theta) - m; see CosFace."""
    return cosine - margin


class MarginHead(nn.Module, ABC):
    """A classifier over people whose logits are scaled cosines.

    `gathers` says that its loss is of this process's images alone, not of those of all processes.

    The class centres are the columns of `kernel`, float32 (D, C): the name and the shape of the
    published `<step>header.pth`. They are initialised from normal(0, 0.01). Cosines and margins
    are computed in float32 at least: 1 - cos^2 loses all its digits in half precision. Embeddings
    in float64 stay so.

    Args:
        embedding_size: D.
        classes: C, the number of people.
        scale: s, by which the cosines are multiplied.
        margin: m; its meaning is the subclass's.
        generator: source of the initial centres.

    Raises:
        ValueError: if a size is not positive, or scale or margin lies outside its range.
    """

    gathers: ClassVar[bool] = False

    def __init__(
        self,
        embedding_size: int,
        classes: int,
        *,
        scale: float,
        margin: float,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_arguments(embedding_size, classes, scale, margin)
        self.scale = scale
        self.margin = margin
        centres = torch.empty(embedding_size, classes).normal_(0, SPREAD, generator=generator)
        self.kernel = nn.Parameter(centres)

    @abstractmethod
    def target_cosine(self, cosine: Tensor) -> Tensor:
        """Lower the cosines (N,) of the true classes by the margin."""

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Cosines (N, C), in [-1, 1], between embeddings (N, D) and all centres."""
        wide = torch.promote_types(embeddings.dtype, torch.float32)
        with torch.autocast(device_type=embeddings.device.type, enabled=False):
            directions = F.normalize(embeddings.to(wide), dim=1)
            return cosines(directions, self.kernel.to(wide)).clamp(-1.0, 1.0)

    def logits(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scaled cosines (N, C) with the margin on the true class.

        Args:
            embeddings: (N, D), any float type, not normalised.
            labels: int64 (N,) in [0, C).
        """
        cosine = self.cosines(embeddings)
        index = labels.unsqueeze(1)
        target = cosine.gather(1, index)
        return self.scale * cosine.scatter(1, index, self.target_cosine(target))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy over the batch, a scalar of the cosines' type.

        Images with label -1, of nobody known, are left out; without any other it is 0.
        """
        logits = self.logits(embeddings, labels.clamp_min(0))
        loss = F.cross_entropy(logits, labels, ignore_index=UNKNOWN)
        return torch.where((labels >= 0).any(), loss, torch.zeros_like(loss))


class ArcFace(MarginHead):
    """Additive angular margin: the true class's logit is s cos(theta + m).

    Beyond theta + m = pi the cosine would rise again; there the logit goes on falling along
    s (cos(theta) - m sin(pi - m)), as in the published training of PocketNet.
    Source: ArcFace (Deng et al., CVPR 2019); s = 64, m = 0.5 in PocketNet.
    """

    def target_cosine(self, cosine: Tensor) -> Tensor:
        """cos(theta + m), continued beyond theta = pi - m; see the class."""
        return additive_angle(cosine, self.margin)


class CosFace(MarginHead):
    """Additive cosine margin: the true class's logit is s (cos(theta) - m).

    Source: CosFace (Wang et al., CVPR 2018); s = 64, m = 0.35 is the field's usual choice.
    """

    def target_cosine(self, cosine: Tensor) -> Tensor:
        """cos(theta) - m."""
        return additive_cosine(cosine, self.margin)
