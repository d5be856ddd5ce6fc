"""Pictures that are nearly the same: one photograph saved twice, scaled, or mirrored.

Two images count as near copies if the network finds them alike and so does a plain look: the
correlation of their thumbnails, 16 x 16 grey pixels. Either alone errs: faces of one session are
alike to a network, and aligned faces are alike at 16 pixels. The limits are ours, see
docs/results.md.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketface.embedding.unit import quick_products

Units = npt.NDArray[np.float32]

SIMILAR = 0.9
"""Cosine similarity of the embeddings from which on two images may be near copies."""

ALIKE = 0.985
"""Correlation of the thumbnails from which on they are."""

_SIDE = 16
_STRIP = 1 << 22


class NearCopy(NamedTuple):
    """Two images, `left` < `right`, and how similar the network finds them."""

    left: int
    right: int
    similarity: float


def thumbnail(pixels: npt.NDArray[np.uint8]) -> Units:
    """Grey, 16 x 16, mean 0, length 1; float32 (256,) of uint8 (H, H, 3) that is not flat."""
    small = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    values = np.asarray(small, np.float64).ravel()
    values -= values.mean()
    return (values / max(float(np.linalg.norm(values)), 1e-9)).astype(np.float32)


def near_copies(directions: Units, thumbnails: Units) -> list[NearCopy]:
    """All near copies, the most similar first.

    `directions` is float32 (n, D), unit embeddings; `thumbnails` float32 (n, 256). Every image is
    compared with every other: time grows with the square of n.
    """
    count = len(directions)
    side = _SIDE
    mirrored = thumbnails.reshape(-1, side, side)[:, :, ::-1].reshape(-1, side * side)
    found = []
    step = max(1, _STRIP // max(count, 1))
    for start in range(0, count, step):
        part = slice(start, start + step)
        similarity = quick_products(directions[part], directions[start:].T)
        near = similarity >= SIMILAR
        if not near.any():
            continue
        looks = quick_products(thumbnails[part], thumbnails[start:].T)
        np.maximum(looks, quick_products(thumbnails[part], mirrored[start:].T), out=looks)
        for row, column in zip(*np.nonzero(near & (looks >= ALIKE)), strict=True):
            if row < column:
                value = float(similarity[row, column])
                found.append(NearCopy(start + int(row), start + int(column), value))
    return sorted(found, key=lambda pair: -pair.similarity)
