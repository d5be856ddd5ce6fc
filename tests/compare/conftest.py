"""A comparison so small that its runs take a moment, in this process or as processes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from in_process import Here

from pocketface.compare.design_file import read_design
from pocketface.compare.findings import Findings
from pocketface.compare.jobs import Outcome
from pocketface.compare.sitting import Options, Sitting

torch.set_num_threads(1)


@pytest.fixture
def here() -> Here:
    """Runs the commands of a comparison in this process, and remembers them."""
    return Here()


@pytest.fixture(scope="session")
def people(tmp_path_factory, coarse_people) -> Path:
    """Folders `train` (six people) and `test`, and `pairs.json` of the latter."""
    root = tmp_path_factory.mktemp("faces")
    coarse_people(root / "train", people=6, images=5, size=32, noise=25.0)
    coarse_people(root / "test", people=8, images=3, size=32, noise=70.0)
    pairs = []
    for number in range(48):
        one, other = number % 8, (number + 1 + number // 8) % 8
        first = f"Person_{one:02d}/Person_{one:02d}_000{1 + number % 3}.png"
        again = f"Person_{one:02d}/Person_{one:02d}_000{1 + (number + 1) % 3}.png"
        apart = f"Person_{other:02d}/Person_{other:02d}_000{1 + (number // 3) % 3}.png"
        pairs += [[first, again, True], [first, apart, False]]
    (root / "pairs.json").write_text(json.dumps(pairs))
    return root


@pytest.fixture(scope="session")
def content(people) -> Callable[..., dict[str, Any]]:
    """A design as plain data, with entries replaced."""

    def make(**entries: Any) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "title": "A toy <comparison>",
            "recipe": {
                "model": {
                    "architecture": "pocketnet_nano",
                    "embedding_size": 16,
                    "image_size": 32,
                    "options": {"channels": 2, "cells": 4},
                },
                "head": {"scale": 16, "margin": 0.2},
                "schedule": {"kind": "cosine"},
                "data": {"workers": 0, "in_memory": True},
                "batch_size": 8,
            },
            "set": {"data.train": ["$faces/train"], "epochs": 2},
            "seeds": 2,
            "prepare": {"teacher": {"set": {"epochs": 3, "milestones": True}}},
            "arms": {
                "alone": {"title": "student alone"},
                "taught": {"teacher": "$teacher", "set": {"distill.cache": "$out/cache"}},
            },
            "names": {"faces": str(people)},
            "measure": {"Toy pairs": {"path": "$faces/pairs.json", "images": "$faces/test"}},
            "fixed": {"raw pixels": "pixels"},
            "replicates": 20,
        }
        return plain | entries

    return make


@pytest.fixture(scope="session")
def write(tmp_path_factory) -> Callable[[dict[str, Any]], Path]:
    """Write a design to a file."""

    def to_file(content: dict[str, Any]) -> Path:
        path = tmp_path_factory.mktemp("design") / "arms.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return to_file


@pytest.fixture(scope="session")
def carry_out(write) -> Callable[..., tuple[Findings, Outcome]]:
    """One sitting of a comparison, in this process."""

    def sit(
        content: dict[str, Any], out: Path, start: Any = None, **options: Any
    ) -> tuple[Findings, Outcome]:
        design = read_design(write(content))
        sitting = Sitting(design, out, Options(device="cpu", quiet=True, **options))
        return sitting.carry_out(start or Here(), lambda findings: None)

    return sit


@pytest.fixture(autouse=True)
def _no_pictures(request, monkeypatch) -> None:
    """Pictures cost more than all the rest of a tiny comparison."""
    if "pictures" not in request.fixturenames:
        _leave_out_pictures(monkeypatch)


def _leave_out_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pocketface.train.loop.draw_curves", lambda run: None)
    monkeypatch.setattr("pocketface.benchmarks.pair_figures.figures", lambda *_: {})
    monkeypatch.setattr("pocketface.compare.measuring.figures", lambda *_: {})
    monkeypatch.setattr("pocketface.compare.publish.comparison_png", lambda *_: None)
    monkeypatch.setattr("pocketface.compare.publish.curves_png", lambda *_: None)


@pytest.fixture(scope="session")
def whole(content, carry_out, tmp_path_factory) -> tuple[Path, Findings, Here]:
    """The folder of a comparison that was never stopped, what it found, and what was run."""
    out, here = tmp_path_factory.mktemp("whole") / "toy", Here()
    with pytest.MonkeyPatch.context() as patch:
        _leave_out_pictures(patch)
        findings, outcome = carry_out(content(), out, here)
    assert outcome == Outcome()
    return out, findings, here
