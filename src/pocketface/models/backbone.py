"""The base class of every network that turns a face into an embedding."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from pocketface.errors import RecipeError

STRIDES = (2, 4, 8, 16)
"""How much smaller the four stages' maps are than the image."""


class Backbone(nn.Module, ABC):
    """A network from normalised images to embeddings, with four stages on the way.

    Attributes:
        architecture: the name in the registry, set by `create_model`; before that, the class's.
        options: keywords of `create_model` that build this network again; plain JSON values.
        embedding_size: D, the length of an embedding.
        image_size: height and width of the images in pixels, a multiple of 16.
        stage_channels: widths of the four stages' maps.

    A subclass hands its own keywords over as `options`.
    """

    def __init__(
        self,
        embedding_size: int,
        image_size: int,
        stage_channels: tuple[int, int, int, int],
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        check_count("embedding_size", embedding_size, least=1)
        check_count("image_size", image_size, least=STRIDES[-1])
        if image_size % STRIDES[-1]:
            below = image_size // STRIDES[-1] * STRIDES[-1]
            raise RecipeError(
                f"image_size must be a multiple of {STRIDES[-1]}, got {image_size}. "
                f"The nearest are {below} and {below + STRIDES[-1]}."
            )
        self.architecture = type(self).__name__
        self.options = {"embedding_size": embedding_size, "image_size": image_size, **options}
        self.embedding_size = embedding_size
        self.image_size = image_size
        self.stage_channels = stage_channels

    def forward(self, images: Tensor) -> Tensor:
        """Embed `images` float (N, 3, H, W), normalised; gives (N, D), not of unit length."""
        embedding, _ = self.forward_stages(images)
        return embedding

    @abstractmethod
    def forward_stages(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embed `images` float (N, 3, H, W) and keep the stages' outputs.

        Returns the embedding (N, D) and four raw maps (N, stage_channels[i], H / s, W / s) with
        s = 2, 4, 8, 16.
        """

    @abstractmethod
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Draw all parameters anew and reset the running statistics.

        `generator` is the source of the random numbers; None is torch's default one.
        """

    def check_images(self, images: Tensor) -> None:
        """Raise ValueError unless `images` is (N, 3, image_size, image_size)."""
        wanted = (3, self.image_size, self.image_size)
        if images.ndim != 4 or tuple(images.shape[1:]) != wanted:
            raise ValueError(
                f"{self.architecture} was built for images of shape (N, {wanted[0]}, {wanted[1]}, "
                f"{wanted[2]}), got {tuple(images.shape)}. Resize them, or build the network with "
                "another image_size."
            )


def check_count(name: str, value: Any, *, least: int) -> None:
    """Raise RecipeError unless `value` is an integer of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise RecipeError(f"{name} must be a whole number of at least {least}, got {value!r}.")
