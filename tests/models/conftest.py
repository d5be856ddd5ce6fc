from collections.abc import Callable

import pytest
import torch
from torch import nn

# The networks here are tiny: threads only wait for one another, badly so on a busy machine.
torch.set_num_threads(1)


def _scramble(network: nn.Module, seed: int = 0) -> None:
    """Give every parameter and statistic its own value, so that no two can be confused."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if tensor.ndim > 1:
            bound = (3 / tensor[0].numel()) ** 0.5
            tensor.uniform_(-bound, bound, generator=generator)
        else:
            tensor.uniform_(0.5, 1.5, generator=generator)


@pytest.fixture
def scramble() -> Callable[..., None]:
    return _scramble
