"""A training set and a recipe so small that a whole run takes a moment."""

import json
import os
import socket
import traceback
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


@pytest.fixture(scope="session")
def tiny_pairs(tmp_path_factory, coarse_people) -> dict[str, str]:
    """A pair set of 24 pairs of two people or one, as the section `validation` names it."""
    folder = tmp_path_factory.mktemp("pairs")
    images = coarse_people(folder / "faces", people=4, images=4, size=64, noise=60.0)
    names = [sorted(path.name for path in person.iterdir()) for person in sorted(images.iterdir())]
    people = sorted(path.name for path in images.iterdir())
    pairs = []
    for number in range(12):
        one, two = number % 4, (number + 1 + number // 4) % 4
        left = f"{people[one]}/{names[one][number % 3]}"
        pairs.append([left, f"{people[one]}/{names[one][3]}", True])
        pairs.append([left, f"{people[two]}/{names[two][number % 4]}", False])
    (folder / "tiny.json").write_text(json.dumps(pairs))
    return {"pairs": [str(folder / "tiny.json")], "images": str(images)}


@pytest.fixture(scope="session")
def teacher_run(tmp_path_factory, tiny_recipe, train_run) -> Path:
    """A run that kept its milestones, three of them."""
    run = tmp_path_factory.mktemp("teacher") / "run"
    train_run(tiny_recipe(seed=7, milestones=True), run)
    return run


@pytest.fixture
def picture() -> None:
    """A test that asks for this gets a picture from each run."""


@pytest.fixture(autouse=True)
def _no_picture(request, monkeypatch) -> None:
    """The picture costs as much as the rest of a tiny run."""
    if "picture" not in request.fixturenames:
        monkeypatch.setattr("pocketface.train.loop.draw_curves", lambda run: None)


@pytest.fixture
def every_step(monkeypatch) -> None:
    """A row of the log for every step, so that rows of two runs can be compared."""
    monkeypatch.setattr("pocketface.train.loop.LOG_EVERY", 1)


@pytest.fixture
def in_processes(tmp_path) -> Callable[..., list[str]]:
    """Call `work(rank)` in processes that find what torchrun would have told them.

    They are forked from this one, since to import torch takes seconds. Gives what each of them
    failed with, "" where it did not.
    """

    def call(world: int, work: Callable[[int], Any]) -> list[str]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        said = [tmp_path / f"said-{port}-{rank}" for rank in range(world)]
        children = [
            os.fork() or _become(rank, world, port, work, said[rank]) for rank in range(world)
        ]
        for child in children:
            os.waitpid(child, 0)
        return [path.read_text() if path.exists() else "killed" for path in said]

    return call


def _become(rank: int, world: int, port: int, work: Callable[[int], Any], said: Path) -> int:
    """Be one of several processes to the end; never returns."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "test",
    }
    failed = ""
    try:
        work(rank)
    except BaseException as error:
        failed = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
    finally:
        said.write_text(failed)
        os._exit(bool(failed))
