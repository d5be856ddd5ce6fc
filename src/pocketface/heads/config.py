"""What a recipe says of its head."""

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from pocketface.heads.margin import ArcFace, CosFace, MarginHead

_KINDS: dict[str, type[MarginHead]] = {"arcface": ArcFace, "cosface": CosFace}


class HeadConfig(BaseModel):
    """The head of a recipe; the defaults are PocketNet's (ArcFace, s = 64, m = 0.5)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["arcface", "cosface"] = "arcface"
    scale: float = Field(default=64.0, gt=0)
    margin: float = Field(default=0.5, ge=0, lt=1.57)


def create_head(
    config: HeadConfig, embedding_size: int, classes: int, generator: torch.Generator | None = None
) -> MarginHead:
    """Build the head that `config` describes for `classes` people."""
    return _KINDS[config.kind](
        embedding_size, classes, scale=config.scale, margin=config.margin, generator=generator
    )
