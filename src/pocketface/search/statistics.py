"""Batch statistics that leave no trace: what a passing pass must not teach the network."""

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def untracked(network: nn.Module) -> Iterator[None]:
    """Within the block, batch norms in training mode leave their running statistics alone.

    They normalise with the statistics of the batch, as always in training. So a pass with other
    weights (the virtual step of DARTS, and the two beside it) does not blend its statistics into
    those of the real network.
    """
    norms = [
        module
        for module in network.modules()
        if isinstance(module, nn.BatchNorm2d) and module.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
