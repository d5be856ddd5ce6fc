"""What a process does to become one of several; a module of its own, so that it is pickled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist


def join(
    meeting: Path, rank: int, world: int, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> Any:
    """Meet the other processes at the file `meeting`, and work."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world)
    try:
        return work(*arguments)
    finally:
        dist.destroy_process_group()
