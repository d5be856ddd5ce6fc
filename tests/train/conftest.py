"""A training set and a recipe so small that a whole run takes a moment."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pocketface.data import FolderFaces
from pocketface.train.launch import carry_out
from pocketface.train.loop import RunResult
from pocketface.train.recipe import Recipe, parse_recipe

# The networks here are tiny: threads only wait for one another, badly so on a busy machine.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_people(tmp_path_factory, coarse_people) -> Path:
    """Six people with five images of 64x64 each."""
    return coarse_people(
        tmp_path_factory.mktemp("tiny") / "people", people=6, images=5, size=64, noise=25.0
    )


@pytest.fixture(scope="session")
def tiny_faces(tiny_people) -> FolderFaces:
    return FolderFaces(tiny_people)


@pytest.fixture(scope="session")
def tiny_content(tiny_people) -> Callable[..., dict[str, Any]]:
    """The content of the tiny recipe, with sections of it replaced key by key."""

    def content(**sections: Any) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "model": {
                "architecture": "pocketnet_nano",
                "embedding_size": 16,
                "image_size": 32,
                "options": {"channels": 2, "cells": 4},
            },
            "data": {"train": [str(tiny_people)], "workers": 0, "in_memory": True},
            "head": {"kind": "arcface", "scale": 16, "margin": 0.2},
            "optimiser": {"learning_rate": 0.1, "reference_batch": 8},
            "schedule": {"kind": "cosine"},
            "augment": {"mirror": True, "shift": 2, "brightness": 0.2, "contrast": 0.2},
            "epochs": 3,
            "batch_size": 8,
        }
        for key, value in sections.items():
            old = plain.get(key)
            both = isinstance(old, dict) and isinstance(value, dict) and "kind" not in value
            plain[key] = old | value if both else value
        return plain

    return content


@pytest.fixture(scope="session")
def tiny_recipe(tiny_content) -> Callable[..., Recipe]:
    def recipe(**sections: Any) -> Recipe:
        return parse_recipe(tiny_content(**sections), "the tiny recipe")

    return recipe


@pytest.fixture(scope="session")
def train_run() -> Callable[..., RunResult]:
    """Carry out a recipe on the CPU, silently."""

    def train(recipe: Recipe, run: Path, **options: Any) -> RunResult:
        result = carry_out(recipe, run, device="cpu", quiet=True, **options)
        assert result is not None
        return result

    return train
