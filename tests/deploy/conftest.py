"""Trained-like networks and their exported files, made once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from trained_networks import (
    BUILDS,
    as_trained,
    save,
)

from pocketface.deploy import Export, export_network


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Callable[[str], Path]:
    """Give the weights file of one of BUILDS."""
    made: dict[str, Path] = {}

    def give(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = save(as_trained(BUILDS[name]()), folder / "trained.safetensors")
        return made[name]

    return give


@pytest.fixture(scope="session")
def exported(source, tmp_path_factory) -> Callable[[str], Export]:
    """Give what exporting one of BUILDS gave."""
    made: dict[str, Export] = {}

    def give(name: str) -> Export:
        if name not in made:
            out = tmp_path_factory.mktemp(name) / "model.onnx"
            made[name] = export_network(source(name), out, generator=np.random.default_rng(0))
        return made[name]

    return give


@pytest.fixture
def instant(exported, monkeypatch) -> onnx.ModelProto:
    """Let every export write this model, that of 'iresnet'; it may be spoilt."""
    model = onnx.load(str(exported("iresnet").path))
    monkeypatch.setattr("pocketface.deploy.onnx_export.write_graph", lambda *_, **__: model)
    return model
