"""`compare` as it is typed: in this process, and once with real processes that are stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from in_process import Here
from typer.testing import CliRunner

from pocketface.cli.main import app
from pocketface.compare.findings import Findings
from pocketface.errors import RecipeError, StoppedError, TrainingError


@pytest.fixture
def place(tmp_path, monkeypatch, content, write, here) -> Path:
    """An empty folder to work in, with a design of one seed; commands run in this process."""
    monkeypatch.chdir(tmp_path)
    write(
        content(seeds=1, prepare={}, arms={"alone": {}, "longer": {"set": {"epochs": 3}}})
    ).rename(tmp_path / "arms.yaml")
    monkeypatch.setattr("pocketface.compare.process.start_process", here)
    return tmp_path


def call(*words: object) -> tuple[str, str]:
    given = [str(word) for word in ("compare", "arms.yaml", *words, "--device", "cpu")]
    answer = CliRunner().invoke(app, given, catch_exceptions=False)
    assert answer.exit_code == 0, answer.stderr
    return answer.stdout, answer.stderr


def test_the_plan_is_printed_and_nothing_is_done(place, here):
    out, _ = call("--dry-run")
    assert "2 of 2 runs to train, 120 images: alone, seed 0; longer, seed 0" in out
    assert "How long it takes is known once one run is finished." in out
    assert "Measured on: Toy pairs." in out
    assert here.commands == []
    assert not (place / "runs").exists()


def test_from_a_file_to_a_page(place, here):
    out, err = call("--threads", 1)
    assert here.trained == ["alone/seed_0", "longer/seed_0"]
    assert "too few seeds" in out
    assert "Page: runs/arms/compare.html" in out
    assert "begins: alone, seed 0" in err
    assert "1 of 2 runs done, about" in err
    assert "2 of 2 runs done" in err
    text = (place / "runs/arms/compare.html").read_text()
    assert "A toy &lt;comparison&gt;" in text
    assert (place / "runs/arms/design.yaml").read_text() == (place / "arms.yaml").read_text()
    assert all(c[c.index("--threads") :][:2] == ["--threads", "1"] for c in here.commands)
    out, _ = call("--dry-run")
    assert "0 of 2 runs to train" in out
    out, err = call("--json")
    findings = Findings.model_validate_json(out)
    assert findings.done == 2
    assert "Page:" in err
    assert len(here.commands) == 4


def test_the_table_is_there_after_each_run(place, here, monkeypatch):
    seen = []
    start = here.__call__

    def watch(words, log, keep=()):
        page = place / "runs/arms/compare.json"
        seen.append(Findings.model_validate_json(page.read_text()).done)
        return start(words, log, keep)

    monkeypatch.setattr("pocketface.compare.process.start_process", watch)
    call("--quiet")
    assert seen == [0, 0, 1, 1]


def test_how_to_go_on_is_said(place, monkeypatch, here):
    with pytest.raises(StoppedError) as caught:
        call("--minutes", 0, "--out", "a b")
    assert "0 of 2 runs are done" in str(caught.value)
    assert "Go on with: pocketface compare arms.yaml --out 'a b'" in str(caught.value)


def test_a_failure_is_told_at_the_end_with_what_was_done(place, content, write):
    arms = {
        "wild": {"set": {"optimiser.learning_rate": 1e30, "optimiser.clip_norm": 0}},
        "alone": {},
    }
    write(content(seeds=1, prepare={}, arms=arms)).replace(place / "arms.yaml")
    with pytest.raises(TrainingError, match=r"wild, seed 0: .*\n?.*go on with: pocketface compare"):
        call()
    text = (place / "runs/arms/compare.json").read_text()
    assert Findings.model_validate_json(text).done == 1


def test_mistakes(place):
    with pytest.raises(RecipeError, match=r"other.yaml cannot be read"):
        CliRunner().invoke(app, ["compare", "other.yaml"], catch_exceptions=False)


def test_here_is_what_the_command_starts() -> None:
    """The pretence takes what the real thing takes."""
    import inspect

    from pocketface.compare.process import start_process

    ours = list(inspect.signature(Here.__call__).parameters)[1:]
    assert ours == list(inspect.signature(start_process).parameters)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_real_processes_stopped_and_gone_on_with(whole, content, write, tmp_path, number):
    design = write(content())
    command = [sys.executable, "-m", "pocketface", "compare", str(design), "--out", "toy"]
    command += ["--device", "cpu", "--threads", "1", "--jobs", "2"]
    first = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    metrics = tmp_path / "toy" / "prepared" / "teacher" / "seed_0" / "metrics.jsonl"
    while not metrics.exists() and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(number)
    _, said = first.communicate(timeout=200)
    assert first.returncode == 130, said
    assert "Go on with: pocketface compare" in " ".join(said.split())
    environment = os.environ | {"COLUMNS": "300"}
    done = subprocess.run(
        [*command, "--json"], cwd=tmp_path, capture_output=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["differences"]
    names = sorted(path.relative_to(whole[0]) for path in whole[0].rglob("*.safetensors"))
    for name in names:
        assert (tmp_path / "toy" / name).read_bytes() == (whole[0] / name).read_bytes(), name
