"""The one interface that benchmarks, galleries and commands see of a network.

Shapes: N images of H x W pixels, D numbers of an embedding.
"""

import hashlib
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from pocketface.card import ModelCard
from pocketface.errors import DataError, WeightsError
from pocketface.preprocessing import Preprocessing

Progress = Callable[[int, int], None]
"""Told the numbers of images done and of all images, as long work goes on."""


class Embedder(Protocol):
    """Turns aligned faces into embeddings; it knows its own preprocessing and resizes.

    Attributes:
        embedding_size: D, the length of an embedding.
        fingerprint: hexadecimal identity of weights and preprocessing: equal fingerprints give
            equal embeddings, up to the runtime's rounding.
        preprocessing: size, channel order, mean and std of the network's input.
        card: what the card beside the weights says, or None for a foreign file.
    """

    @property
    def embedding_size(self) -> int: ...  # noqa: D102 - described above

    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    @property
    def preprocessing(self) -> Preprocessing: ...  # noqa: D102

    @property
    def card(self) -> ModelCard | None: ...  # noqa: D102

    def embed(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed uint8 (N, H, W, 3) RGB aligned faces; gives float32 (N, D), not normalised.

        Raises DataError for an array of another shape or type, WeightsError where the network
        gives numbers that are not finite.
        """
        ...


@runtime_checkable
class Adjustable(Embedder, Protocol):
    """An embedder whose network can be fed in another way, to find out how it wants its images."""

    def with_preprocessing(self, preprocessing: Preprocessing) -> Embedder:
        """The same network under another preprocessing of the same image size."""
        ...


def fingerprint_of(sha256: str, preprocessing: Preprocessing) -> str:
    """The identity of weights with this sha256 under this preprocessing, hexadecimal."""
    return hashlib.sha256(f"{sha256} {preprocessing.model_dump_json()}".encode()).hexdigest()


def check_faces(images: npt.NDArray[np.uint8]) -> None:
    """Raise DataError unless `images` is uint8 (N, H, W, 3) of square faces."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise DataError(
            "faces must be a uint8 array of shape (N, H, W, 3), RGB. "
            f"Got {images.dtype} {images.shape}.{_mend(images)}"
        )
    height, width = images.shape[1:3]
    if height != width or height == 0:
        raise DataError(
            f"aligned faces are square, got {width} x {height} pixels (width x height). "
            "Align and crop the photographs first; stretching them would spoil the faces."
        )


def _mend(images: npt.NDArray[np.generic]) -> str:
    """What to do about an array of another kind, where it can be told."""
    if images.dtype != np.uint8:
        return " Give pixels 0 to 255, not normalised: that is done here."
    if images.ndim == 4 and images.shape[3] == 1:
        return " These are grey: repeat the channel, np.repeat(images, 3, axis=3)."
    if images.ndim == 4 and images.shape[3] == 4:
        return " The fourth channel is transparency: leave it out, images[..., :3]."
    if images.ndim == 4 and images.shape[1] == 3:
        return " Put the channels last: images.transpose(0, 2, 3, 1)."
    if images.ndim == 3 and images.shape[2] == 3:
        return " One face is a batch of one: images[None]."
    if images.ndim == 3:
        return " These are grey: make them RGB, np.repeat(images[..., None], 3, axis=3)."
    return ""


def check_embeddings(
    embeddings: npt.NDArray[np.float32], rows: int, embedding_size: int, source: str
) -> None:
    """Raise WeightsError unless `embeddings` is a finite (rows, embedding_size) array."""
    if embeddings.shape != (rows, embedding_size):
        raise WeightsError(
            f"{source} gave an output of shape {embeddings.shape} for {rows} images, where "
            f"({rows}, {embedding_size}) was due. It is not a network of one embedding per image."
        )
    broken = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(broken):
        raise WeightsError(
            f"{source} gave numbers that are not finite (NaN or infinity) for {len(broken)} of "
            f"{rows} images, first for image {broken[0]} of the batch. The weights are broken, or "
            "the mean and std of its preprocessing are wrong."
        )
