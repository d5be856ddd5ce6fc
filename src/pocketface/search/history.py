"""What each epoch of a search ended with, and which of them the cells are taken from."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pocketface.search.architecture import ArchitectureWeights
from pocketface.search.collapse import CollapseConfig, sound_epochs

Cell = Literal["normal", "reduce"]
Alphas = npt.NDArray[np.float32]


@dataclass(frozen=True)
class EpochRecord:
    """What is measured at the end of an epoch.

    Attributes:
        top1_weights: share of the weights' half whose person is found, among all people.
        top1_architecture: the same of the architecture's half.
        skips_normal, skips_reduce: edges of the discretised cells that skip.
        pools_normal, pools_reduce: edges that pool.
        entropy_normal, entropy_reduce: mean over the edges, in nats.
        eigenvalue: the dominant one of the held-out loss's Hessian, an estimate; 0 if left out.
        parameters, macs: of the network that the discretised cells make.
    """

    top1_weights: float
    top1_architecture: float
    skips_normal: int
    skips_reduce: int
    pools_normal: int
    pools_reduce: int
    entropy_normal: float
    entropy_reduce: float
    eigenvalue: float
    parameters: int
    macs: int

    def metrics(self) -> dict[str, float]:
        """The numbers by their names in `metrics.jsonl`, such as `skips/normal`."""
        return {name.replace("_", "/", 1): value for name, value in asdict(self).items()}


class History:
    """The records and the architecture weights of all epochs; it is kept in the checkpoint.

    Args:
        start: the architecture weights before the first step.
    """

    def __init__(self, start: ArchitectureWeights) -> None:
        self.records: list[EpochRecord] = []
        self._cells: dict[str, list[Tensor]] = {"normal": [], "reduce": []}
        self._keep(start)

    def _keep(self, weights: ArchitectureWeights) -> None:
        self._cells["normal"].append(weights.normal.detach().cpu().clone())
        self._cells["reduce"].append(weights.reduce.detach().cpu().clone())

    def add(self, record: EpochRecord, weights: ArchitectureWeights) -> None:
        """Take one epoch more."""
        self.records.append(record)
        self._keep(weights)

    def raw(self, cell: Cell, epoch: int) -> Tensor:
        """The raw weights (14, 8) of a cell after `epoch` epochs; 0 is the start."""
        return self._cells[cell][epoch]

    def alphas(self) -> tuple[Alphas, Alphas]:
        """The raw weights of the normal and of the reduction cell: (epochs + 1, 14, 8) each."""
        normal, reduce = (torch.stack(found).numpy() for found in self._cells.values())
        return normal, reduce

    def sound(self, config: CollapseConfig, warm_up: int) -> int | None:
        """How many epochs to choose from if the search is to stop now, or None to go on.

        The first `warm_up` epochs, in which the architecture stands still, tell nothing.
        """
        told = self.records[warm_up:]
        if not told:
            return None
        skips = [record.skips_normal for record in told]
        kept = sound_epochs(config, skips, [record.eigenvalue for record in told])
        return None if kept is None else warm_up + kept

    def best(self, kept: int, warm_up: int) -> int:
        """The epoch (from 1) that the cells are taken from, among the first `kept`.

        It has the highest accuracy on the architecture's half; of equals the later is taken (arXiv
        2108.10710). The first `warm_up` are not chosen from.
        """
        candidates = range(warm_up, kept)
        return 1 + max(candidates, key=lambda e: (self.records[e].top1_architecture, e))

    def states(self) -> dict[str, Any]:
        """All of it in plain values and tensors."""
        return {
            "records": [asdict(record) for record in self.records],
            **{cell: torch.stack(found) for cell, found in self._cells.items()},
        }

    def restore(self, states: dict[str, Any]) -> None:
        """Take over what `states` gave."""
        self.records = [EpochRecord(**record) for record in states["records"]]
        self._cells = {cell: list(states[cell].unbind()) for cell in self._cells}
