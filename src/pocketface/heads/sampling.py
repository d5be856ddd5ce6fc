"""Negative centres drawn for a step: PartialFC (An et al., CVPR 2022).

The classes are drawn in blocks of fixed bounds, each from (seed, step, block) alone. So a run draws
the same centres however many processes share it and wherever it is resumed, and a process whose
classes begin or end within a block draws all of that block and keeps its own.
"""

import math

import numpy as np
import numpy.typing as npt

from pocketface.heads.shard import Shard

BLOCK = 65_536
"""Classes drawn together. To change it changes what a run draws."""

_STREAM = 0x5A3D1E
"""Tells these random numbers from those of batches and augmentation, drawn from the same seed."""

Classes = npt.NDArray[np.int64]


class NegativeSampler:
    """Draws the classes that take part in a step.

    Of each block these are all classes that the global batch shows, and as many others as it takes
    until `share` of the block's classes are reached; none if the batch alone reaches it. The others
    are drawn evenly and without repetition.

    Args:
        share: of the classes, in (0, 1].
        seed: of the draws.
        block: see `BLOCK`.

    Raises:
        ValueError: if `share` lies outside its range.
    """

    def __init__(self, share: float, seed: int, block: int = BLOCK) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"sample must be a float in (0, 1]. Got {share} instead.")
        self.share = share
        self.seed = seed
        self.block = block

    def draw(self, shard: Shard, shown: Classes, step: int) -> Classes:
        """The classes of `shard` that take part in `step`, rising.

        Args:
            shard: the classes of this process.
            shown: int64 (P,), the classes of the images of all processes, rising, each once.
            step: counted over the whole run.
        """
        if len(shard) == 0:
            return np.empty(0, np.int64)
        blocks = range(shard.first // self.block, math.ceil(shard.end / self.block))
        drawn = np.concatenate([self._draw_block(each, shard, shown, step) for each in blocks])
        first, end = np.searchsorted(drawn, (shard.first, shard.end))
        return drawn[first:end]

    def _draw_block(self, number: int, shard: Shard, shown: Classes, step: int) -> Classes:
        start = number * self.block
        size = min(self.block, shard.classes - start)
        first, end = np.searchsorted(shown, (start, start + size))
        own = shown[first:end] - start
        wanted = round(self.share * size)
        rng = np.random.default_rng((self.seed, _STREAM, step, number))
        taken = np.zeros(size, bool)
        taken[rng.choice(size, wanted, replace=False, shuffle=False)] = True
        taken[own] = False
        others = np.flatnonzero(taken)
        # What is left after the block's shown classes were taken out is as even as before.
        surplus = min(len(others), len(others) + len(own) - wanted)
        if surplus > 0:
            taken[others[rng.choice(len(others), surplus, replace=False, shuffle=False)]] = False
        taken[own] = True
        return np.flatnonzero(taken) + start
