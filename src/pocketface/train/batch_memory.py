"""Memory for batches of images, used again once nobody holds the batch.

Fresh memory has to be cleared by the system, page by page, which costs as much as reading the
images' records from disk.
"""

import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

Block = npt.NDArray[np.uint8]

_KEPT = 2
"""One block is looked at by the training step while the next is filled."""


class BatchMemory:
    """Lends blocks of `uint8`; a block is free again when the array that was lent is gone.

    What is lent must be held as lent (as a torch tensor made from it does), not as NumPy views of
    it: NumPy lets a view of a view point past it.
    """

    def __init__(self) -> None:
        self._lent: list[tuple[Block, weakref.ref[Block]]] = []

    def __getstate__(self) -> dict[str, Any]:
        return {"_lent": []}

    def take(self, shape: tuple[int, ...]) -> Block:
        """Give a block of this shape, its content undefined; `lend` says what of it is used."""
        for place, (block, holder) in enumerate(self._lent):
            if block.shape == shape and holder() is None:
                del self._lent[place]
                return block
        return np.empty(shape, np.uint8)

    def lend(self, block: Block, rows: int) -> Block:
        """The first `rows` of a block that was taken; it is free when this array is gone."""
        lent = block[:rows]
        self._lent = [(block, weakref.ref(lent)), *self._lent[: _KEPT - 1]]
        return lent
