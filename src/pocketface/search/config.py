"""What decides a search: the paper's settings as defaults, and ours for a small machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pocketface.errors import RecipeError
from pocketface.heads import HeadConfig
from pocketface.models.backbone import STRIDES
from pocketface.models.pocketnet import LEAST_CELLS
from pocketface.search.collapse import CollapseConfig
from pocketface.train.recipe import DataConfig
from pocketface.train.settings import parse_settings


class SupernetConfig(BaseModel):
    """The sizes of the searched network; the defaults are PocketNet's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_size: int = Field(default=112, ge=STRIDES[-1], multiple_of=STRIDES[-1])
    channels: int = Field(default=16, ge=2, multiple_of=2)
    cells: int = Field(default=8, ge=LEAST_CELLS)
    hidden: int = Field(default=512, ge=1)
    groups: int = Field(default=128, ge=1)
    embedding_size: int = Field(default=128, ge=1)

    @model_validator(mode="after")
    def _groups_are_equal(self) -> "SupernetConfig":
        if self.hidden % self.groups:
            raise ValueError(
                f"hidden must be a multiple of groups. Got {self.hidden} and {self.groups}"
            )
        return self


class WeightsConfig(BaseModel):
    """SGD for the network's weights; the defaults are PocketNet's.

    The rate falls from `learning_rate` to `last_rate` along half a cosine. `clip_norm` bounds the
    norm of the gradient of all weights; 0 turns it off.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(default=0.1, gt=0)
    last_rate: float = Field(default=0.004, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=3e-4, ge=0)
    clip_norm: float = Field(default=5.0, ge=0)

    @model_validator(mode="after")
    def _the_rate_falls(self) -> "WeightsConfig":
        if self.last_rate > self.learning_rate:
            raise ValueError(
                f"last_rate must not be above learning_rate ({self.learning_rate}). "
                f"Got {self.last_rate}"
            )
        return self


class ArchitectureConfig(BaseModel):
    """Adam for the architecture weights; the defaults are PocketNet's.

    `order` is DARTS's: "second" looks ahead by a step of training, "first" does not. `scale` is
    the standard deviation of the first values. `warm_up_epochs` (ours) trains the weights alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    order: Literal["first", "second"] = "second"
    learning_rate: float = Field(default=1.2e-3, gt=0)
    beta1: float = Field(default=0.5, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    weight_decay: float = Field(default=1e-3, ge=0)
    scale: float = Field(default=1e-3, gt=0)
    warm_up_epochs: int = Field(default=0, ge=0)


class BudgetConfig(BaseModel):
    """What the found network may cost, in the shape that it is trained in; none: no limit.

    `max_macs` counts multiply-accumulates for one image, `max_latency_ms` what the table
    `latencies` predicts for one. `weight` (ours) is that of the expected cost in the architecture's
    loss: of the parts by which it exceeds the limits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_params: int | None = Field(default=None, gt=0)
    max_macs: int | None = Field(default=None, gt=0)
    max_latency_ms: float | None = Field(default=None, gt=0)
    latencies: Path | None = None
    weight: float = Field(default=1.0, ge=0)


class SearchConfig(BaseModel):
    """A whole search; the defaults are PocketNet's (arXiv 2108.10710).

    The weights' half is enlarged by `margin` pixels on each side and cropped at random, and
    mirrored half of the time (the paper: 128 pixels, crop 112); the architecture's half is seen as
    it is. `head` is a margin head in place of the paper's plain linear softmax (none).

    `recipe` is that by which the found network will be trained, a shipped one's name or a file; the
    cost of cells is that of its network. Under `bf16-mixed` (ours) the passes run in bfloat16, but
    those whose difference makes the second-order term.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: DataConfig = DataConfig()
    supernet: SupernetConfig = SupernetConfig()
    head: HeadConfig | None = None
    weights: WeightsConfig = WeightsConfig()
    architecture: ArchitectureConfig = ArchitectureConfig()
    collapse: CollapseConfig = CollapseConfig()
    budget: BudgetConfig = BudgetConfig()
    recipe: str = "pocketnet_s_128"
    margin: int = Field(default=8, ge=0, description="pixels")
    mirror: bool = True
    epochs: int = Field(default=50, ge=1)
    batch_size: int = Field(default=128, ge=2)
    seed: int = Field(default=0, ge=0)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    checkpoint_minutes: float = Field(default=10.0, gt=0)

    @model_validator(mode="after")
    def _everybody_is_known(self) -> "SearchConfig":
        if self.data.unlabelled:
            raise ValueError("data.unlabelled cannot be searched on: give labelled images only")
        return self

    @model_validator(mode="after")
    def _the_head_is_whole(self) -> "SearchConfig":
        if self.head is not None and self.head.sharded:
            raise ValueError("head.sharded is for training: a search is one process. Leave it away")
        return self

    @model_validator(mode="after")
    def _the_warm_up_ends(self) -> "SearchConfig":
        if self.architecture.warm_up_epochs >= self.epochs:
            raise ValueError(
                f"architecture.warm_up_epochs must be less than epochs ({self.epochs}). "
                f"Got {self.architecture.warm_up_epochs}"
            )
        return self


SMALL: dict[str, Any] = {
    "supernet": {
        "image_size": 48,
        "channels": 8,
        "cells": 5,
        "hidden": 128,
        "groups": 32,
        "embedding_size": 64,
    },
    "architecture": {"order": "first", "learning_rate": 6e-3},
    "recipe": "pocketnet_nano",
    "data": {"in_memory": True, "workers": 0},
    "margin": 3,
    "epochs": 15,
    "batch_size": 32,
}
"""Ours, for two processor cores: small images and width, first order, larger steps since fewer."""

PRESETS: dict[str, dict[str, Any]] = {"paper": {}, "small": SMALL}


def make_config(preset: str = "paper", changes: Mapping[str, Any] | None = None) -> SearchConfig:
    """Give a preset's settings, with `changes` by dotted key, such as {"weights.momentum": 0.8}.

    Raises:
        RecipeError: for an unknown preset, and for a key or value that is not allowed.
    """
    if preset not in PRESETS:
        raise RecipeError(f"unknown preset '{preset}' of a search. Presets: {', '.join(PRESETS)}.")
    refused = "the settings of this search cannot be used"
    return parse_settings(SearchConfig, PRESETS[preset], "search", refused, changes)
