"""A head and its momentum in a checkpoint: whole, however many processes hold it.

In a checkpoint stand the `kernel` (D, C) and a momentum of that shape, as those of a head that is
not sharded. So a run may go on with another number of processes, or with `head.sharded` changed.
"""

from typing import Any

import torch
from torch import Tensor

from pocketface.heads import MarginHead, ShardedHead
from pocketface.train.optimisers import load_optimiser

Head = MarginHead | ShardedHead
_MOMENTUM = "momentum_buffer"


def head_state(head: Head | None) -> dict[str, Any]:
    """The state of `head`; all processes must call this together, the first one gets it whole."""
    if isinstance(head, ShardedHead):
        return {"kernel": head.whole()}
    return {} if head is None else head.state_dict()


def restore_head(head: Head, state: dict[str, Any]) -> None:
    """Take over what `head_state` gave on the first process."""
    if isinstance(head, ShardedHead):
        head.load_whole(state["kernel"])
    else:
        head.load_state_dict(state)


def optimiser_state(optimiser: torch.optim.Optimizer, head: Head | None) -> dict[str, Any]:
    """The state of `optimiser`, as `head_state` that of the head."""
    state = optimiser.state_dict()
    number = _number_of_centres(optimiser, head)
    if number is None or not isinstance(head, ShardedHead) or number not in state["state"]:
        return state
    own: Tensor | None = state["state"][number].get(_MOMENTUM)
    if own is None:
        return state
    whole = state["state"][number] | {_MOMENTUM: head.whole(own)}
    return state | {"state": state["state"] | {number: whole}}


def restore_optimiser(
    optimiser: torch.optim.Optimizer, head: Head | None, state: dict[str, Any]
) -> None:
    """Take over what `optimiser_state` gave on the first process."""
    number = _number_of_centres(optimiser, head)
    if number is not None and isinstance(head, ShardedHead):
        whole: Tensor | None = state["state"].get(number, {}).get(_MOMENTUM)
        if whole is not None:
            own = state["state"][number] | {_MOMENTUM: head.own(whole)}
            state = state | {"state": state["state"] | {number: own}}
    load_optimiser(optimiser, state)


def _number_of_centres(optimiser: torch.optim.Optimizer, head: Head | None) -> int | None:
    """The number that a sharded head's centres have in the optimiser's state; None if none."""
    if not isinstance(head, ShardedHead):
        return None
    parameters = [each for group in optimiser.param_groups for each in group["params"]]
    numbers = [number for number, each in enumerate(parameters) if each is head.centres]
    return numbers[0] if numbers else None
