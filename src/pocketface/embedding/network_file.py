"""A network in a file, opened by some runtime: one input of images, embeddings out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketface.errors import RecipeError, WeightsError

Side = int | None
"""A length of an array's shape; None where it is free."""


@dataclass(frozen=True)
class Port:
    """An input: its name, its numbers' type as NumPy calls it, and its shape if that is known."""

    name: str
    dtype: str
    shape: tuple[Side, ...] | None

    def __str__(self) -> str:
        sides = "?" if self.shape is None else ", ".join(str(s or "any") for s in self.shape)
        return f"{self.dtype} ({sides}) at its input '{self.name}'"


@dataclass(frozen=True)
class NetworkFile:
    """What a runtime found in a file, and how it is run.

    Attributes:
        path: the file.
        sha256: of its content, hexadecimal.
        inputs: all of them.
        run: images, in the form that the one input takes, to the outputs in order.
        metadata: the entries that the file keeps beside its network.
    """

    path: Path
    sha256: str
    inputs: Sequence[Port]
    run: Callable[[npt.NDArray[Any]], Sequence[npt.NDArray[Any]]]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def check_input(self, image_size: int, *, pixels: bool) -> int | None:
        """The batch size, where the file fixes one.

        `pixels`: whether it takes uint8 (N, S, S, 3), and not float32 (N, 3, S, S). Raises
        WeightsError for a file that does not, or whose S is not `image_size`.
        """
        if len(self.inputs) != 1:
            names = ", ".join(port.name for port in self.inputs) or "none"
            raise WeightsError(f"{self.path} must have one input, the images; it has: {names}.")
        (port,) = self.inputs
        described = f"{self.path} takes {port}"
        wanted, layout = ("uint8", "(N, S, S, 3)") if pixels else ("float32", "(N, 3, S, S)")
        if port.dtype != wanted or port.shape is None or len(port.shape) != 4:
            raise WeightsError(f"{described}; it must take {wanted} images of shape {layout}.")
        batch, *rest = port.shape
        channels = rest.pop(-1 if pixels else 0)
        if channels not in (None, 3):
            place = "last" if pixels else "second"
            raise WeightsError(
                f"{described}; channels must come {place} {layout}. "
                f"Export the network in the {'NHWC' if pixels else 'NCHW'} layout."
            )
        if any(side not in (None, image_size) for side in rest):
            raise WeightsError(
                f"{described}, but its preprocessing says {image_size} x {image_size} pixels. "
                f"Correct the image size (--size {rest[0] or rest[1]}) or the card."
            )
        return batch

    def outputs_for(self, images: npt.NDArray[Any]) -> Sequence[npt.NDArray[Any]]:
        """All outputs for these images. Raises WeightsError where the runtime fails."""
        try:
            return [np.asarray(output) for output in self.run(images)]
        except Exception as error:  # runtimes have no common base for what goes wrong
            raise WeightsError(
                f"{self.path} cannot process images of shape {images.shape}: {first_line(error)}"
            ) from error


def check_threads(threads: int | None) -> None:
    """Raise RecipeError for fewer than one thread; None leaves the number to the runtime."""
    if threads is not None and threads < 1:
        raise RecipeError(f"threads must be at least 1, got {threads}.")


def first_line(error: Exception) -> str:
    """What a runtime says went wrong, without its trace."""
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)
