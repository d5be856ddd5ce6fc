"""`search` as it is typed: from faces to a trained network, and what is refused."""

import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from pocketface.card import read_card
from pocketface.cli.main import app
from pocketface.errors import DataError, RecipeError
from pocketface.models import create_model
from pocketface.models.cost import measure_cost
from pocketface.models.genotype import FACES, Genotype
from pocketface.profile.latency_table import Entry, LatencyTable, write_latency_table
from pocketface.profile.machine import describe_machine
from pocketface.profile.pieces import pieces_of_any
from pocketface.search.config import SearchConfig
from pocketface.train.log import read_metrics
from pocketface.train.recipe import load_recipe

SIZES = {
    "supernet": "{image_size: 16, channels: 2, cells: 4, hidden: 8, groups: 4, embedding_size: 4}",
    "collapse.eigenvalue_steps": "1",
    "margin": "2",
}
MODEL = {
    "architecture": "pocketnet_nano",
    "embedding_size": 8,
    "image_size": 16,
    "options": {"channels": 2, "cells": 4},
}


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in, with a recipe of a tiny PocketNet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pocketface.train.loop.draw_curves", lambda run: None)
    content = {
        "model": MODEL,
        "data": {"in_memory": True, "workers": 0},
        "head": {"scale": 16, "margin": 0.2},
        "optimiser": {"reference_batch": 8},
        "epochs": 5,
        "batch_size": 8,
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


@pytest.fixture
def no_pictures(monkeypatch) -> None:
    """They cost more than a tiny search."""
    monkeypatch.setattr("pocketface.search.outcome.draw_cells", lambda *given: None)
    for name in ("film_strip", "search_curves"):
        monkeypatch.setattr(f"pocketface.search.outcome.{name}", lambda *given: b"")


def words(people: Path, *others: object) -> list[str]:
    """A search of 2 epochs of 4 steps."""
    sizes = [word for key, value in SIZES.items() for word in ("--set", f"{key}={value}")]
    wanted = ["--out", "found", "--recipe", "tiny.yaml", "--epochs", "2", "--batch-size", "4"]
    return [str(word) for word in ["search", people, *wanted, *sizes, "--device", "cpu", *others]]


def call(arguments: list[str]) -> tuple[str, str]:
    """Run the command; errors are raised as they are, `main` would print them."""
    outcome = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.stderr
    return outcome.stdout, outcome.stderr


def test_from_faces_to_a_trained_network_by_the_command_that_is_printed(place, search_people):
    out, err = call(words(search_people))
    assert "36 images of 6 people" in err
    assert "epoch 2 of 2: top-1" in err
    for name in ("cells", "film_strip", "curves"):
        with Image.open(place / "found" / f"{name}.png") as picture:
            picture.load()
            assert min(picture.size) > 500
    summary = json.loads((place / "found" / "summary.json").read_text())
    genotype = Genotype.load(place / "found" / "genotype.json")
    assert Genotype.from_dict(summary["genotype"]) == genotype
    options = {**MODEL["options"], "genotype": genotype}
    network = create_model("pocketnet_nano", embedding_size=8, image_size=16, **options)
    cost = measure_cost(network)
    assert (summary["parameters"], summary["macs"]) == (cost.parameters, cost.macs)
    assert f"{cost.parameters:,}" in out
    assert f"{cost.macs:,}" in out
    (said,) = [line for line in out.splitlines() if line.startswith("next: ")]
    command = shlex.split(said.removeprefix("next: "))
    assert command[0] == "pocketface"
    call([*command[1:], "--epochs", "1", "--device", "cpu", "--quiet"])
    trained = read_card(place / "found_trained" / "last.safetensors")
    assert trained is not None
    assert trained.genotype == genotype.to_dict()


def test_a_search_and_its_training_in_one_command_that_goes_on(place, no_pictures, search_people):
    wanted = ["--train", "net", "--train-epochs", 1, "--train-set", "batch_size=12", "--seed", 3]
    out, err = call(words(search_people, *wanted, "--head", "cosface", "--json"))
    assert err == ""
    answer = json.loads(out)
    assert answer["training"]["steps"] == 3
    assert answer["search"]["steps"] == 8
    recipe = load_recipe("net/recipe.yaml")
    assert recipe.model.options["genotype"] == answer["search"]["genotype"]
    assert (recipe.seed, recipe.data.train) == (3, (search_people,))
    config = SearchConfig.model_validate(yaml.safe_load(Path("found/config.yaml").read_text()))
    assert config.head is not None
    assert config.head.kind == "cosface"
    weights = (place / "net" / "last.safetensors").read_bytes()
    again, _ = call(words(search_people, *wanted, "--head", "cosface", "--json", "--resume"))
    assert json.loads(again)["search"]["genotype"] == answer["search"]["genotype"]
    assert (place / "net" / "last.safetensors").read_bytes() == weights


def test_a_budget_of_parameters_and_time_is_held(place, no_pictures, search_people):
    network = create_model(
        "pocketnet_nano", **{k: v for k, v in MODEL.items() if "_size" in k}, **MODEL["options"]
    )
    pieces = [piece for piece in pieces_of_any([network]) if not piece.free]
    entries = [Entry(**piece._asdict(), microseconds=9, low=9, high=9) for piece in pieces]
    table = LatencyTable(
        version="0", created="2026-01-01", machine=describe_machine(), load=None,
        runtime="onnxruntime", runtime_version="1", threads=1, clock="cpu", entries=tuple(entries),
    )  # fmt: skip
    write_latency_table(place / "device.json", table)
    call(words(search_people))
    free = json.loads((place / "found" / "summary.json").read_text())
    limit = free["parameters"] - 1
    budget = ["--max-params", limit, "--max-latency-ms", 5, "device.json", "--out", "within"]
    out, _ = call(words(search_people, *budget, "--quiet"))
    held = json.loads((place / "within" / "summary.json").read_text())
    assert held["parameters"] <= limit
    assert held["milliseconds"] <= 5
    assert f"(at most {limit:,})" in out
    with pytest.raises(
        RecipeError, match=r"no cells hold the budget.*more than the 0\.0100 allowed"
    ):
        call(words(search_people, "--max-latency-ms", 0.01, "device.json", "--out", "never"))
    assert not (place / "never").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--batch-size", 19], "half of the 36 images are 18, fewer than one batch of 19"),
        (["--max-params", 10], r"no cells hold the budget.*more than the 10 allowed"),
        (["--preset", "large"], "unknown preset 'large'"),
        (["--set", "epoch=3"], "epoch: no such key; did you mean 'epochs'"),
        (["--set", "epochs"], "--set takes KEY=VALUE"),
        (["--train-epochs", 3], "need --train FOLDER"),
        (["--train", "net", "--train-set", "epoch=3"], "epoch: no such key"),
        (["--set", "collapse={stop: eigenvalue, eigenvalue_steps: 0}"], "at least 1"),
    ],
)
def test_what_is_refused_before_the_search(place, search_people, more, said):
    with pytest.raises(RecipeError, match=said):
        call(words(search_people, *more))
    assert not (place / "found").exists()


def test_one_person_alone(place, coarse_people):
    alone = coarse_people(place / "alone", people=1, images=12)
    with pytest.raises(DataError, match="1 person"):
        call(words(alone))


def test_a_folder_with_a_run_is_not_trained_into(place, search_people):
    (place / "net").mkdir()
    (place / "net" / "last.safetensors").touch()
    with pytest.raises(RecipeError, match="net holds a run already"):
        call(words(search_people, "--train", "net"))
    assert not (place / "found").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"place": 3, "edge": ["dw_conv_9x9", 1]}, "unknown primitive 'dw_conv_9x9'.*Allowed"),
        ({"place": 2, "edge": ["dw_conv_3x3", 3]}, "reads index 3, but this node may read 0 to 2"),
        ({"place": 2, "edge": ["dw_conv_3x3", 5]}, "reads index 5, but this node may read 0 to 2"),
    ],
)
def test_a_broken_genotype_is_not_trained(place, search_people, change, said):
    content: dict[str, Any] = FACES.to_dict()
    content["normal"][change["place"]] = change["edge"]
    (place / "genotype.json").write_text(json.dumps(content))
    with pytest.raises(RecipeError, match=f"genotype.json holds no genotype: .*{said}"):
        call(["train", "tiny.yaml", "--data", str(search_people), "--genotype", "genotype.json"])


def test_without_torch_the_missing_extra_is_named():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "sys.argv = ['pocketface', 'search', 'faces', '--out', 'found']\n"
        "from pocketface.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'pocketface[train]'" in " ".join(done.stderr.split())


@pytest.fixture
def start(place, search_people) -> Callable[..., subprocess.Popen[str]]:
    def popen(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pocketface", *words(search_people, *options)]
        return subprocess.Popen(
            [*command, "--quiet", "--threads", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return popen


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_search_is_resumed_to_the_same_end(place, start):
    everything = ["--epochs", "6", "--order", "second", "--set", "collapse.skip_dropout=0.3"]
    whole = start(*everything, "--out", "whole")
    _, said = whole.communicate(timeout=400)
    assert whole.returncode == 0, said
    killed = [*everything, "--out", "killed", "--set", "checkpoint_minutes=0.000001"]
    for rows in (3, 9):
        process = start(*killed, *(["--resume"] if Path("killed").exists() else []))
        deadline = time.monotonic() + 300
        log = Path("killed/metrics.jsonl")
        while not log.exists() or log.read_text().count("\n") < rows:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert not Path("killed/genotype.json").exists()
    process = start(*killed, "--resume")
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said
    for name in ("genotype.json", "film_strip.png", "cells.png"):
        assert Path("killed", name).read_bytes() == Path("whole", name).read_bytes(), name
    with np.load("killed/alphas.npz") as ours, np.load("whole/alphas.npz") as theirs:
        for name in ("normal", "reduce"):
            assert np.array_equal(ours[name], theirs[name])
    ends = [
        [row for row in read_metrics(Path(run)) if "macs" in row] for run in ("killed", "whole")
    ]
    assert ends[0] == ends[1]
