"""People and a search so small that a whole search takes a moment."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pocketface.search.config import SearchConfig, make_config

# The networks here are tiny: threads only wait for one another, badly so on a busy machine.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def search_people(tmp_path_factory, coarse_people) -> Path:
    """Six people with six images of 32x32 each: 18 images in either half."""
    return coarse_people(
        tmp_path_factory.mktemp("searched") / "people", people=6, images=6, size=32, noise=25.0
    )


@pytest.fixture(scope="session")
def tiny_changes(search_people) -> Callable[..., dict[str, Any]]:
    """What makes the small preset tiny: 3 epochs of 4 steps of 4 images."""

    def changes(**others: Any) -> dict[str, Any]:
        return {
            "data.train": [str(search_people)],
            "supernet": {
                "image_size": 16,
                "channels": 2,
                "cells": 4,
                "hidden": 8,
                "groups": 4,
                "embedding_size": 4,
            },
            "collapse.eigenvalue_steps": 1,
            "margin": 2,
            "epochs": 3,
            "batch_size": 4,
            **others,
        }

    return changes


@pytest.fixture(scope="session")
def tiny_search(tiny_changes) -> Callable[..., SearchConfig]:
    """The settings of a tiny search, with changes by dotted key."""

    def config(changes: dict[str, Any] | None = None) -> SearchConfig:
        return make_config("small", tiny_changes(**(changes or {})))

    return config
