"""One process of several fails: the others say so and end, and torchrun's restart goes on."""

import os
import signal
import time
from pathlib import Path

import pytest
import torch
from torchrun import finish, start, write

from pocketface.errors import DataError
from pocketface.train.checkpoint import load_checkpoint
from pocketface.train.launch import carry_out
from pocketface.train.log import read_metrics
from pocketface.train.step import TrainingStep
from pocketface.train.validation import Validator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def in_step(monkeypatch):
    """Let `happens()` come about in a process's third training step."""

    def patch(happens) -> None:
        real = TrainingStep.learn
        steps = 0

        def learn(self, ready):
            nonlocal steps
            steps += 1
            if steps == 3:
                happens()
            return real(self, ready)

        monkeypatch.setattr(TrainingStep, "learn", learn)

    return patch


def raise_data_error() -> None:
    raise DataError("people/a.png: cut short")


def test_when_one_process_fails_the_others_end_at_once(
    tmp_path, tiny_recipe, in_processes, in_step
):
    run = tmp_path / "run"

    def work(rank: int) -> None:
        if rank == 1:
            in_step(raise_data_error)
        carry_out(tiny_recipe(batch_size=4), run, device="cpu", quiet=True)

    began = time.monotonic()
    first, second = in_processes(2, work)
    assert time.monotonic() - began < 120  # of ten minutes' patience
    assert second.startswith("DataError: people/a.png: cut short")
    assert first.startswith(
        "TrainingError: process 0 gives up: another of the 2 processes has ended; its own message "
        f"says why. {run}/last.ckpt is whole; go on with --resume"
    ), first
    assert load_checkpoint(run / "last.ckpt").position.step == 0


def test_when_one_process_hangs_the_others_wait_so_long_and_no_longer(
    tmp_path, tiny_recipe, in_processes, in_step
):
    run = tmp_path / "run"

    def work(rank: int) -> None:
        if rank == 1:
            in_step(lambda: time.sleep(12))
        carry_out(tiny_recipe(batch_size=4), run, device="cpu", quiet=True, process_timeout=6 / 60)

    first, second = in_processes(2, work)
    assert first.startswith("TrainingError: process 0 gives up: another of the 2 processes did not")
    assert "raise --process-timeout" in first
    # It awoke to find the first one gone.
    assert second.startswith("TrainingError: process 1 gives up: another of the 2 processes has en")


def test_the_first_process_may_take_long_where_it_works_alone(
    tmp_path, tiny_recipe, tiny_pairs, in_processes, monkeypatch
):
    measure = Validator.measure

    slept: list[None] = []

    def slowly(self, backbone):
        if not slept:
            slept.append(time.sleep(11))
        return measure(self, backbone)

    recipe = tiny_recipe(batch_size=4, epochs=2, validation={**tiny_pairs, "every_epochs": 1})
    monkeypatch.setattr(Validator, "measure", slowly)
    said = in_processes(
        2,
        lambda rank: carry_out(
            recipe, tmp_path / "run", device="cpu", quiet=True, process_timeout=8 / 60
        ),
    )
    assert said == ["", ""]
    rows = read_metrics(tmp_path / "run")
    assert sum("accuracy/tiny" in row for row in rows) == 2


def test_a_worker_that_is_killed_is_restarted_and_the_run_is_as_if_nothing_had_been(
    tmp_path, tiny_content
):
    recipe = write(tmp_path / "r.yaml", tiny_content(batch_size=4, epochs=10))
    whole, run = tmp_path / "whole", tmp_path / "run"
    undisturbed = start(recipe, whole)
    process = start(recipe, run, "--auto-resume", agent=("--max-restarts", "3"))
    deadline = time.monotonic() + 300
    while not (run / "metrics.jsonl").exists() or len(read_metrics(run)) < 3:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [int(child) for child in children if is_worker(int(child))]
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    finish(process)
    finish(undisturbed)
    for name in ("last.safetensors", "last.json"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    ours, theirs = (load_checkpoint(path / "last.ckpt") for path in (run, whole))
    assert ours.position.images == theirs.position.images == 240
    assert torch.equal(ours.states["head"]["kernel"], theirs.states["head"]["kernel"])
    losses = [[row["loss"] for row in read_metrics(path)] for path in (run, whole)]
    assert losses[0] == losses[1]


def is_worker(process: int) -> bool:
    return "pocketface" in Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
