"""The processes of one start meet in a store that an earlier start has used.

torchrun keeps one key-value store for all its restarts, and torch's process group writes its
addresses there under the same names each time. After a restart a process may so read where a dead
one listened ("Connection refused"; https://github.com/pytorch/pytorch/issues/135712). torchrun's
own restart count does not tell the starts apart: hosts count for themselves. So the living agree on
a name of their own first, and the group is built under it.
"""

import atexit
import json
import time
import uuid
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from pocketface.errors import TrainingError

PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others to start."""

_PAUSE = 0.02
"""Seconds between two looks at the store."""


def join(device: torch.device, timeout: timedelta) -> None:
    """Build the process group of torchrun's processes in the store that torchrun keeps.

    Args:
        device: what this process computes on; it decides the backend.
        timeout: how long one waits for another in a collective operation.

    Raises:
        TrainingError: if the others do not come.
    """
    store, rank, world = next(iter(rendezvous("env://", timeout=timeout)))
    store = PrefixStore("pocketface", store)
    name = common_name(store, rank, world, max(timeout, PATIENCE))
    dist.init_process_group(
        dist.Backend.default_device_backend_map[device.type],
        store=PrefixStore(name, store),
        rank=rank,
        world_size=world,
        timeout=timeout,
        device_id=None if device.type == "cpu" else device,
    )
    # NCCL warns about a group that is left standing.
    atexit.register(_leave)


def common_name(store: Store, rank: int, world: int, patience: timedelta) -> str:
    """A name on which all living processes have agreed, and that no earlier start had.

    The first process proposes a name to those that have said they are there. What it finds may be
    a dead one's word; the living one is then not among the named, does not agree, and its own word
    is found at a later look, which makes a new proposal. When all have agreed, it says so.

    Args:
        store: one that all processes see, with anything in it.
        rank: this process's number, from 0.
        world: how many there are.
        patience: how long one waits for the others.

    Raises:
        TrainingError: if the others do not come in time.
    """
    deadline = time.monotonic() + patience.total_seconds()
    me = uuid.uuid4().hex
    store.set(f"here/{rank}", me)
    there = [f"here/{other}" for other in range(world)]
    name = ""
    named: list[str] = []
    while time.monotonic() < deadline:
        if rank == 0:
            if store.check(there):
                found = [store.get(key).decode() for key in there]
                if found != named:
                    name, named = uuid.uuid4().hex, found
                    store.set("proposal", json.dumps({"name": name, "named": named}))
                if store.check([f"{name}/{other}" for other in range(1, world)]):
                    store.set(f"{name}/all", "agreed")
                    return name
        elif store.check(["proposal"]):
            proposal = json.loads(store.get("proposal"))
            if proposal["named"][rank : rank + 1] == [me]:
                name = str(proposal["name"])
                store.set(f"{name}/{rank}", "agreed")
                if store.check([f"{name}/all"]):
                    return name
        time.sleep(_PAUSE)
    raise TrainingError(
        f"process {rank} of {world} waited {patience.total_seconds() / 60:g} minutes in vain for "
        "the others to start. See what they say, whether all hosts were given the same "
        "--master-addr or --rdzv-endpoint, and whether its port can be reached from each."
    )


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
