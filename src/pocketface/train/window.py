"""The means of what the steps measured since the last row of the log."""

import time
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor

_Batch = TypeVar("_Batch")


class LogWindow:
    """Collects the values of steps; they stay on their device until a row is due."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._losses: list[Tensor] = []
        self._steps = 0
        self._waited = 0.0
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long ago the window was opened."""
        return time.monotonic() - self._began

    def add(self, values: dict[str, Tensor], waited: float) -> None:
        """Take one step's scalars, and the seconds that it waited for its batch."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value
        self._losses.append(values["loss"])
        self._steps += 1
        self._waited += waited

    def losses(self, fabric: Fabric) -> list[float]:
        """The loss of each step, the mean over all processes, which must call this together."""
        mean: Any = fabric.all_reduce(torch.stack(self._losses).float(), reduce_op="mean")
        losses: list[float] = mean.tolist()
        return losses

    def means(self, fabric: Fabric, global_batch: int) -> dict[str, float]:
        """Means over the steps and over all processes, which must call this together.

        Besides the steps' own values: `images_per_second`, and `loader_wait`, the share of the
        time spent waiting for batches (both of this process).
        """
        sums = torch.stack([value.float() for value in self._sums.values()])
        mean: Any = fabric.all_reduce(sums, reduce_op="mean")
        seconds = self.seconds
        return {
            **dict(zip(self._sums, (mean / self._steps).tolist(), strict=True)),
            "images_per_second": self._steps * global_batch / seconds,
            "loader_wait": self._waited / seconds,
        }


def timed(batches: Iterator[_Batch]) -> Iterator[tuple[_Batch, float]]:
    """Each batch with the seconds that it was waited for."""
    while True:
        began = time.monotonic()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, time.monotonic() - began
