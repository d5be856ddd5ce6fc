"""Reading the parameters of a network from a file, ours or a foreign one.

Only tensors are ever read: safetensors, or a PyTorch checkpoint under `weights_only=True`. A
file that wants to run code is refused.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pocketface.errors import WeightsError

SHOWN = 5
"""How many names of each kind a message shows."""

_COUNTER = "num_batches_tracked"


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors`, `.pth` or `.pt` file, by name, on the CPU.

    A checkpoint may be a plain state dict or hold one under 'state_dict'; the prefix `module.`
    of a network trained on several devices is removed.

    Raises WeightsError if the file is missing, is a folder, has another ending, is broken, holds
    anything but tensors, or holds code.
    """
    if path.is_dir():
        raise WeightsError(f"{path} is a folder. Give the weights file inside it.")
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path}. Check the path.")
    if path.suffix == ".safetensors":
        try:
            state = load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(
                f"{path} is not a whole safetensors file: {error}. Copy or download it again."
            ) from error
    elif path.suffix in (".pth", ".pt"):
        state = _tensors(path, _unpickle(path))
    else:
        raise WeightsError(
            f"{path} ends in {path.suffix!r}; weights are read from .safetensors, .pth and .pt."
        )
    if state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def load_state(network: nn.Module, path: Path) -> None:
    """Copy the parameters and running statistics in `path` into `network`, in place.

    Every name and shape must fit, and then the values are cast to the network's types. Only the
    counters `num_batches_tracked` may be missing: older files lack them and nothing reads them.

    Raises WeightsError as `read_state`, or with all missing, surplus and wrongly shaped names;
    then the network is left as it was.
    """
    state = read_state(path)
    own = network.state_dict()
    missing = [name for name in own if name not in state and not name.endswith(_COUNTER)]
    surplus = [name for name in state if name not in own]
    misshapen = [
        f"{name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if missing or surplus or misshapen:
        kind = getattr(network, "architecture", type(network).__name__)
        raise WeightsError(
            f"{path} does not fit {kind}. "
            + _listing("missing", missing)
            + _listing("surplus", surplus)
            + _listing("of another shape", misshapen)
            + "Build the network that the file was made with, with the same options."
        )
    network.load_state_dict(state, strict=False)


def _unpickle(path: Path) -> Any:
    """Read a PyTorch checkpoint without running any code that it may hold."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    # A broken or hostile pickle can raise nearly anything; every case is the same to the user.
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise WeightsError(
            f"{path} cannot be read as a checkpoint of tensors alone: {reason}. It is broken, or "
            "it holds code, which is never run. Copy it again, or save a plain state dict from "
            "the program that made it."
        ) from error


def _tensors(path: Path, content: Any) -> dict[str, Tensor]:
    """Give the state dict in a checkpoint's content."""
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"{path} holds a {type(content).__name__}, not a state dict from names to tensors."
        )
    strangers = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if strangers:
        raise WeightsError(
            f"{path} is not a state dict. "
            + _listing("not tensors", strangers)
            + "Save the network's state dict alone, or under the name 'state_dict'."
        )
    return {str(name): value for name, value in content.items()}


def _listing(what: str, names: Iterable[str]) -> str:
    """Give a sentence with the count of `names` and the first few; nothing if there are none."""
    names = list(names)
    if not names:
        return ""
    more = f", ... and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {what}: {', '.join(names[:SHOWN])}{more}. "
