"""Files for other runtimes, profiled in them."""

import importlib.util
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from pocketface.cli.main import app
from pocketface.deploy import export_network
from pocketface.errors import RecipeError
from pocketface.profile.open_exported import open_exported
from pocketface.profile.runtimes import RUNTIME_OF

MODULES = {".xml": "openvino", ".param": "pnnx", ".tflite": "ai_edge_litert", ".pte": "executorch"}
TARGETS = {".xml": "openvino", ".param": "ncnn", ".tflite": "litert", ".pte": "executorch"}


@pytest.fixture(params=sorted(RUNTIME_OF))
def path(request, small_weights, tmp_path):
    if importlib.util.find_spec(MODULES[request.param]) is None:
        pytest.skip(f"{MODULES[request.param]} is not installed")
    out = tmp_path / f"m{request.param}"
    target = TARGETS[request.param]
    generator = np.random.default_rng(0)
    return export_network(small_weights, out, generator=generator, target=target).path


def test_a_file_is_measured_in_its_own_runtime(path) -> None:
    words = ["profile", str(path), "--seconds", "0.2", "--json", "--layers"]
    outcome = CliRunner().invoke(app, words, catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    (model,) = json.loads(outcome.stdout)["models"]
    assert [each["runtime"] for each in model["measurements"]] == [RUNTIME_OF[path.suffix]]
    assert model["measurements"][0]["latency"]["median"] > 0
    assert model["architecture"] == "pocketnet_nano"
    assert model["macs"] > 0
    companions = [path.with_suffix(".bin")] if path.suffix in (".xml", ".param") else []
    assert model["bytes"] == sum(each.stat().st_size for each in [path, *companions])
    assert "Layers are timed in ONNX files only." in model["notes"]


def test_a_file_whose_arithmetic_is_unknown_is_refused(path, monkeypatch) -> None:
    monkeypatch.setattr("pocketface.profile.open_exported.cost_of", lambda card: None)
    with pytest.raises(RecipeError, match="cannot be profiled: its arithmetic is counted in"):
        open_exported(path, "m")
