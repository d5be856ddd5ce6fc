"""What a network gets most wrong, with pictures: look at it before believing a figure."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

_THUMBNAIL = 112
"""Largest side of a thumbnail in pixels."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """A comparison: what was compared, how similar the network finds it, whether it errs.

    Attributes:
        images: uint8 (H, W, 3) RGB each; empty where there are no pictures.
        caption: what they are; each line is shown on its own.
        similarity: of the network.
        wrong: whether the protocol's threshold errs on it.
    """

    images: Sequence[Pixels]
    caption: str
    similarity: float
    wrong: bool


@dataclass(frozen=True)
class CaseGroup:
    """Cases of one kind, the worst first.

    Attributes:
        title: as 'Most similar pairs of two people'.
        cases: them.
        error: what to call a wrong one, as 'taken for one person'.
    """

    title: str
    cases: Sequence[Case]
    error: str = "wrong"


def thumbnail(pixels: Pixels) -> str:
    """An image, uint8 (H, W, 3) RGB, as the data address of a small JPEG."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
