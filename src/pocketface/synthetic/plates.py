"""Fixed plates of noise that every picture reads at places of its own.

Reading a plate is much cheaper than drawing fresh numbers for each pixel, and is the same on every
device. Each plate is float32 (256, 256), periodic, with mean 0 and deviation 1.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SIDE = 256


@cache
def plate(name: str, device: torch.device) -> Tensor:
    """The plate called `name`.

    "white", "grain" (fine), "cloud" (coarse), "skin" (cloud with some grain) or "strand" (streaks
    along the rows).
    """
    white = np.random.Generator(np.random.Philox(key=20210810)).standard_normal((SIDE, SIDE))
    if name == "grain":
        white = _soft(white, 1, 1)
    elif name == "cloud":
        white = _soft(_soft(white, 9, 9), 5, 5) + 0.25 * _soft(white, 3, 3)
    elif name == "skin":
        cloud = _soft(_soft(white, 9, 9), 5, 5)
        white = cloud + 0.45 * _soft(white, 1, 1)
    elif name == "strand":
        white = _soft(white, 14, 0) + 0.25 * _soft(white, 5, 2)
    values = (white - white.mean()) / white.std()
    return torch.as_tensor(values.astype(np.float32), device=device)


def read(name: str, row: Tensor, column: Tensor) -> Tensor:
    """Read the plate at whole positions of any size (it repeats); float32 of their shape."""
    where = (row & (SIDE - 1)) * SIDE + (column & (SIDE - 1))
    return plate(name, row.device).view(-1).index_select(0, where.reshape(-1)).view(where.shape)


def _soft(values: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """A periodic box average of these half widths, taken twice, scaled to deviation 1."""
    for _ in range(2):
        values = sum(np.roll(values, k, axis=0) for k in range(-rows, rows + 1))  # type: ignore[assignment]
        values = sum(np.roll(values, k, axis=1) for k in range(-columns, columns + 1))  # type: ignore[assignment]
    return np.asarray(values / values.std())
