"""A run that diverges: its batches are kept, and it ends, or goes back and on at a lower rate."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketface.errors import RecipeError, TrainingError
from pocketface.train import anchors
from pocketface.train import run as runs
from pocketface.train.checkpoint import load_checkpoint
from pocketface.train.divergence import RECENT, USUAL, Diverged, LossWatch
from pocketface.train.inspection import contact_sheet
from pocketface.train.log import read_metrics
from pocketface.train.loop import Trainer
from pocketface.train.step import TrainingStep


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.fixture
def spoil(monkeypatch) -> Callable[..., None]:
    """Let the rate of the step after `step` be beyond all measure, the first `times` times."""
    real = Trainer._set_rate

    def at(step: int, times: int = 1) -> None:
        def set_rate(self: Trainer) -> float:
            rate = real(self)
            if self.position.step == step and self.position.back_offs < times:
                self.step.set_rate(1e38)
            return rate

        monkeypatch.setattr(Trainer, "_set_rate", set_rate)

    return at


@pytest.fixture
def recipe(tiny_recipe) -> Callable[..., Any]:
    def make(**divergence: Any) -> Any:
        return tiny_recipe(epochs=5, optimiser={"clip_norm": 0}, divergence=divergence)

    return make


def weights(run: Path) -> bytes:
    return (run / "last.safetensors").read_bytes()


def test_both_batches_are_kept_as_the_network_saw_them(
    tmp_path, recipe, train_run, spoil, monkeypatch, tiny_faces
):
    seen = []
    real = TrainingStep.learn

    def learn(self, ready):
        seen.append((ready.batch.images.numpy().copy(), ready.batch.indices.numpy().copy()))
        return real(self, ready)

    monkeypatch.setattr(TrainingStep, "learn", learn)
    spoil(6)  # in step 7 the weights are spoilt, in step 8 the loss shows it
    run = tmp_path / "run"
    with pytest.raises(TrainingError) as caught:
        train_run(recipe(), run)
    said = str(caught.value)
    assert "the loss is nan at step 8 (epoch 3, step 2 of 3)" in said
    assert f"{run}/diverged/step_000000007 and step_000000008 (.npz, .png, .json)" in said
    assert "--resume --set divergence.action=back_off" in said
    for step in (7, 8):
        base = run / "diverged" / f"step_{step:09d}"
        with np.load(base.with_suffix(".npz")) as kept:
            assert np.array_equal(kept["images"], seen[step - 1][0])
            assert np.array_equal(kept["indices"], seen[step - 1][1])
            assert np.array_equal(kept["labels"], tiny_faces.labels[kept["indices"]])
        with Image.open(base.with_suffix(".png")) as sheet:
            shown = np.asarray(sheet)
        told = json.loads(base.with_suffix(".json").read_text())
        assert (told["epoch"], told["step_in_epoch"]) == (3, step - 6)
        # What went before, without the loss that is no number.
        assert len(told["losses_before"]) == 7
        for image, index, row in zip(*seen[step - 1], told["images"], strict=True):
            top, left = 32 * (row["row"] - 1), 32 * (row["column"] - 1)
            assert np.array_equal(shown[top : top + 32, left : left + 32], image)
            assert row["name"] == tiny_faces.name(int(index))
            assert row["person"] == row["name"].split("/")[0]
    assert load_checkpoint(run / "last.ckpt").position.step == 6


def test_a_contact_sheet_holds_every_image_in_order():
    images = np.arange(7, dtype=np.uint8).repeat(4 * 4 * 3).reshape(7, 4, 4, 3)
    sheet = contact_sheet(images)
    assert sheet.shape == (12, 12, 3)
    cells = [sheet[4 * (n // 3), 4 * (n % 3), 0] for n in range(9)]
    assert cells == [0, 1, 2, 3, 4, 5, 6, 127, 127]


def test_backing_off_lowers_the_rate_and_finishes(tmp_path, recipe, train_run, spoil):
    plain = train_run(recipe(action="back_off"), tmp_path / "plain").run
    spoil(13)
    result = train_run(recipe(action="back_off", factor=0.25), tmp_path / "run")
    assert (result.position.step, result.position.back_offs) == (15, 1)
    rows = {run: read_metrics(run) for run in (plain, result.run)}
    # Back to step 3 (the end of the first epoch): less than ten steps lie between 6 and 15.
    assert [row["step"] for row in rows[result.run]] == [row["step"] for row in rows[plain]]
    for one, other in zip(rows[result.run], rows[plain], strict=True):
        share = 0.25 if one["step"] > 9 else 1.0
        assert one["learning_rate"] == pytest.approx(share * other["learning_rate"])
    assert (result.run / "diverged" / "step_000000015.npz").is_file()
    assert all(math.isfinite(row["loss"]) for row in rows[result.run])


@pytest.mark.slow
def test_the_outcome_does_not_depend_on_when_checkpoints_were_written_or_on_a_kill(
    tmp_path, recipe, train_run, spoil, monkeypatch
):
    spoil(13)
    asked = recipe(action="back_off")
    whole = train_run(asked, tmp_path / "whole").run
    often = train_run(asked.model_copy(update={"checkpoint_minutes": 1e-9}), tmp_path / "often").run
    assert weights(often) == weights(whole)
    for place, time in (("recover", 1), ("save_checkpoint", 5), ("anchors.forget_after", 5)):
        run = tmp_path / place
        with monkeypatch.context() as patch:
            calls = 0
            owner = anchors if place.startswith("anchors") else None
            name = place.rpartition(".")[2]
            module = "pocketface.train.loop"
            real = getattr(owner or __import__(module, fromlist=[name]), name)

            def die(
                *arguments: object, real: Any = real, time: int = time, **options: object
            ) -> object:
                nonlocal calls
                calls += 1
                if calls == time:
                    raise Killed
                return real(*arguments, **options)

            patch.setattr(owner or f"{module}.{name}", *([name, die] if owner else [die]))
            with pytest.raises(Killed):
                train_run(asked, run)
        train_run(asked, run, resume=True)
        assert weights(run) == weights(whole), place


def test_after_the_most_times_the_run_ends(tmp_path, recipe, train_run, spoil):
    spoil(4, times=9)
    with pytest.raises(TrainingError, match=r"at step 6 .*It went back 2 times before this"):
        train_run(recipe(action="back_off", most=2), tmp_path / "run")
    position = load_checkpoint(tmp_path / "run" / "last.ckpt").position
    assert position.back_offs == 2


def test_a_stopped_run_goes_on_when_it_is_asked_to_back_off(tmp_path, recipe, train_run, spoil):
    spoil(13)
    run = tmp_path / "run"
    with pytest.raises(TrainingError):
        train_run(recipe(), run)
    result = train_run(recipe(action="back_off"), run, resume=True)
    assert (result.position.step, result.position.back_offs) == (15, 1)
    # From here on the section has decided the outcome.
    with pytest.raises(RecipeError, match=r"divergence.factor: 0.3 here, 0.5 there"):
        runs.resume(run, recipe(action="back_off", factor=0.3))


def test_anchors_are_the_last_two_ends_of_epochs(tmp_path, recipe, train_run):
    run = train_run(recipe(action="back_off"), tmp_path / "run").run
    assert [path.name for path in sorted((run / "anchors").iterdir())] == [
        "step_000000012.ckpt",
        "step_000000015.ckpt",
    ]
    assert anchors.newest_before(run, 14).name == "step_000000012.ckpt"
    assert anchors.newest_before(run, 3).name == "step_000000012.ckpt"
    # A link to the checkpoint, not a copy.
    assert (run / "anchors" / "step_000000015.ckpt").samefile(run / "last.ckpt")
    assert not (train_run(recipe(), tmp_path / "other").run / "anchors").exists()


def test_without_hard_links_an_anchor_is_a_copy(tmp_path, recipe, train_run, monkeypatch):
    def refuse(*paths: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    run = train_run(recipe(action="back_off"), tmp_path / "run").run
    assert load_checkpoint(run / "anchors" / "step_000000015.ckpt").position.step == 15


def spike_by_hand(losses: list[float], spike: float) -> tuple[int, int] | None:
    """Where a spike is noticed and where it begins, by a plain loop; steps count from 1."""
    for step in range(1, len(losses) + 1):
        seen = losses[max(0, step - USUAL - RECENT) : step]
        if len(seen) < USUAL // 2 + RECENT:
            continue
        bound = spike * float(np.median(seen[:-RECENT]))
        if float(np.median(seen[-RECENT:])) > bound:
            late = [n for n in range(step - RECENT, step) if losses[n] > bound]
            return step, late[0] + 1
    return None


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 1 << 20),
    jump=st.sampled_from([1.0, 2.0, 4.0, 9.0]),
    cuts=st.lists(st.integers(1, 60), min_size=1, max_size=8),
)
def test_a_spike_is_found_wherever_the_rows_end(seed, jump, cuts):
    rng = np.random.default_rng(seed)
    losses = rng.uniform(1, 1.6, 220)
    losses[int(rng.integers(20, 220)) :] *= jump
    expected = spike_by_hand(losses.tolist(), 3.0)
    watch, at, number = LossWatch(3.0), 0, 0
    found = None
    while at < len(losses) and found is None:
        row = losses[at : at + cuts[number % len(cuts)]].tolist()
        at, number = at + len(row), number + 1
        resumed = LossWatch(3.0)
        resumed.restore(watch.losses)
        watch = resumed
        try:
            watch.see(row, at)
        except Diverged as diverged:
            found = diverged.since
    assert found == (None if expected is None else expected[1])


def test_an_odd_batch_and_a_falling_loss_are_no_spike():
    watch = LossWatch(3.0)
    losses = [30 * 0.97**step for step in range(200)]
    losses[150] = 400.0
    watch.see(losses, 200)
    LossWatch(None).see([1.0] * 100 + [1e9] * 50, 150)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_the_step_that_is_no_number_is_named(loss):
    with pytest.raises(Diverged, match=str(loss)) as caught:
        LossWatch(None).see([1.0, 2.0, loss, 3.0], 40)
    assert caught.value.since == 39
    assert not caught.value.spike


@pytest.mark.slow
def test_a_spike_stops_a_run_and_says_how_to_call_it_none(tmp_path, recipe, train_run, monkeypatch):
    real = TrainingStep.learn

    def learn(self, ready):
        values = real(self, ready)
        steps[0] += 1
        return values | {"loss": torch.tensor(160.0 if steps[0] > 80 else 2.0)}

    steps = [0]
    monkeypatch.setattr(TrainingStep, "learn", learn)
    asked = recipe(spike=10.0).model_copy(update={"epochs": 30})
    with pytest.raises(TrainingError) as caught:
        train_run(asked, tmp_path / "run")
    said = str(caught.value)
    assert "the loss rose to 81, over 10 times the usual 2, at step 81" in said
    assert "--resume and a higher divergence.spike" in said
    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "learn", real)
        calm = asked.model_copy(update={"divergence": recipe(spike=None).divergence, "epochs": 30})
        assert train_run(calm, tmp_path / "run", resume=True).position.step == 90
