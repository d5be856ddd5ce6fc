"""What a recipe says of its head."""

from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pocketface.heads.margin import (
    ArcFace,
    CosFace,
    MarginHead,
    additive_angle,
    additive_cosine,
)
from pocketface.heads.sharded import ShardedHead, Target

_KINDS: dict[str, tuple[type[MarginHead], Target]] = {
    "arcface": (ArcFace, additive_angle),
    "cosface": (CosFace, additive_cosine),
}


class HeadConfig(BaseModel):
    """The head of a recipe; the defaults are PocketNet's (ArcFace, s = 64, m = 0.5).

    `sharded` spreads the classes over the processes, and `sample` is the share of them that takes
    part in a step: the batch's own and drawn others (PartialFC). 1 samples nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["arcface", "cosface"] = "arcface"
    scale: float = Field(default=64.0, gt=0)
    margin: float = Field(default=0.5, ge=0, lt=1.57)
    sharded: bool = False
    sample: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _only_sharded_heads_sample(self) -> Self:
        if self.sample < 1 and not self.sharded:
            raise ValueError(
                f"sample below 1 needs sharded: true, with one process too. Got {self.sample}."
            )
        return self


def create_head(
    config: HeadConfig, embedding_size: int, classes: int, generator: torch.Generator | None = None
) -> MarginHead:
    """Build the head that `config` describes for `classes` people, whole in this process."""
    head, _ = _KINDS[config.kind]
    return head(
        embedding_size, classes, scale=config.scale, margin=config.margin, generator=generator
    )


def create_sharded_head(
    config: HeadConfig,
    embedding_size: int,
    classes: int,
    generator: torch.Generator | None = None,
    *,
    seed: int = 0,
) -> ShardedHead:
    """Build this process's part of the head that `config` describes; it draws from `seed`."""
    _, target = _KINDS[config.kind]
    return ShardedHead(
        embedding_size,
        classes,
        target=target,
        scale=config.scale,
        margin=config.margin,
        sample=config.sample,
        seed=seed,
        generator=generator,
    )
