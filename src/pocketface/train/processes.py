"""Several processes as one run: how they wait for one another, and what is said when one fails.

A process that waits in a collective operation cannot know whether the others work or are dead. So
each wait has an end, `--process-timeout`. What a process does alone may take longer (a part of a
teacher's embeddings, a validation): there the others wait in a group of its own, which ends when a
process is gone and at no other time.
"""

import contextlib
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
from lightning_fabric import Fabric

from pocketface.errors import TrainingError

TIMEOUT_MINUTES = 10.0
"""How long a process waits for the others at a step, before it gives up."""

_ENDLESS = timedelta(days=365)

_OF_THE_GROUP = re.compile(
    r"gloo|nccl|connection (closed|reset|refused)|pair closure|broken pipe", re.I
)


@contextlib.contextmanager
def all_wait(fabric: Fabric) -> Iterator[None]:
    """At the block's end the processes wait for one another, however long one is in it.

    All processes must enter the block together.
    """
    if fabric.world_size == 1:
        yield
        return
    # Gloo on any device: it notices at once when a process is gone.
    group = dist.new_group(timeout=_ENDLESS, backend="gloo")
    yield
    dist.barrier(group)
    dist.destroy_process_group(group)


@contextlib.contextmanager
def failure_of_others_told(fabric: Fabric, run: Path, timeout_minutes: float) -> Iterator[None]:
    """Turn what the process group raises when another process fails into a TrainingError."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if fabric.world_size == 1 or not (
            isinstance(error, dist.DistError) or _OF_THE_GROUP.search(text)
        ):
            raise
        if re.search(r"timed? ?out", text, re.I):
            what = (
                f"another of the {fabric.world_size} processes did not answer for "
                f"{timeout_minutes:g} minutes: it hangs, or the network between the hosts does. "
                "Where a step may take longer, raise --process-timeout"
            )
        else:
            what = (
                f"another of the {fabric.world_size} processes has ended; its own message says why"
            )
        raise TrainingError(
            f"process {fabric.global_rank} gives up: {what}. {run / 'last.ckpt'} is whole; go on "
            "with --resume, or let torchrun do it with --max-restarts and --auto-resume. "
            f"({text.splitlines()[0]})"
        ) from error
