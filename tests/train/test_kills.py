"""The command itself, killed and interrupted: nothing is lost, nothing is changed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pocketface.train.checkpoint import load_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EPOCHS = 12


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, tiny_content) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_content(epochs=EPOCHS, milestones=True)))
    return path


@pytest.fixture(scope="module")
def start(recipe) -> Callable[..., subprocess.Popen[str]]:
    def popen(run: Path, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pocketface", "train", str(recipe), "--out", str(run)]
        return subprocess.Popen(
            [*command, "--device", "cpu", "--threads", "1", "--quiet", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A group of its own, so that a signal can be sent to all of it, as a terminal does.
            start_new_session=True,
        )

    return popen


@pytest.fixture(scope="module")
def whole(tmp_path_factory, start) -> Path:
    """A run that was never stopped."""
    run = tmp_path_factory.mktemp("whole") / "run"
    finish(start(run))
    return run


def finish(process: subprocess.Popen[str]) -> None:
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said


def wait_for_rows(process: subprocess.Popen[str], run: Path, rows: int) -> None:
    metrics = run / "metrics.jsonl"
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            if metrics.read_text().count("\n") >= rows:
                return
        time.sleep(0.002)
    pytest.fail(f"the run ended before it was to be stopped: {process.communicate()[1]}")


def assert_same(run: Path, whole: Path) -> None:
    weights = sorted(path.relative_to(whole) for path in whole.rglob("*.safetensors"))
    assert len(weights) == 1 + EPOCHS
    for path in weights:
        assert (run / path).read_bytes() == (whole / path).read_bytes(), path


@pytest.mark.parametrize(
    ("rows", "delay", "options"),
    [
        (1, 0.0, []),
        (4, 0.03, []),
        (6, 0.01, ["--set", "checkpoint_minutes=0.000001"]),  # a checkpoint after every step
        (9, 0.06, []),
    ],
)
def test_killed_at_some_moment(tmp_path, start, whole, rows, delay, options):
    run = tmp_path / "run"
    process = start(run, *options)
    wait_for_rows(process, run, rows)
    time.sleep(delay)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    finish(start(run, "--resume"))
    assert_same(run, whole)


def test_killed_again_and_again(tmp_path, start, whole):
    run = tmp_path / "run"
    for rows, delay in ((1, 0.02), (3, 0.0), (5, 0.04)):
        process = start(run, *(["--resume"] if run.exists() else []))
        wait_for_rows(process, run, rows)
        time.sleep(delay)
        process.kill()
        process.communicate()
    finish(start(run, "--resume"))
    assert_same(run, whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", [0, 1])
def test_interrupted_by_a_terminal(tmp_path, start, whole, number, workers):
    run = tmp_path / "run"
    options = ["--set", "data.in_memory=false", "--set", f"data.workers={workers}"]
    process = start(run, *options)
    wait_for_rows(process, run, 3)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    words = " ".join(said.split())
    assert words == f"stopped; {run} is saved. Go on with the same command and --resume."
    position = load_checkpoint(run / "last.ckpt").position
    assert 9 < position.step < 3 * EPOCHS
    finish(start(run, "--resume"))
    assert_same(run, whole)


def test_a_users_mistake_ends_with_one_message_and_two(tmp_path, start, whole):
    process = start(whole)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 2
    assert said.startswith("error:")
    assert "holds a run already" in " ".join(said.split())
    assert "Traceback" not in said
