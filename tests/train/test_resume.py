"""A run that was stopped or killed ends with the very same bytes as one that was not."""

import functools
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pocketface.errors import RecipeError, StoppedError, WeightsError
from pocketface.train.checkpoint import load_checkpoint, save_checkpoint
from pocketface.train.log import read_metrics
from pocketface.train.recipe import Recipe
from pocketface.train.step import TrainingStep

pytestmark = pytest.mark.usefixtures("every_step")

PLAIN = ["alone", "live", "cached", "multi-step", "multi-step cached"]
WITH_STATE = [
    "angular",
    "adadistill",
    "ekd",
    "inherited",
    "learned",
    "pca",
    "centred",
    "unlabelled",
]
LESSONS = [*PLAIN, *WITH_STATE]
CLOCKED = ("images_per_second", "loader_wait")


@pytest.fixture(scope="session")
def make_lesson(
    tiny_recipe, tiny_people, teacher_run, tiny_pairs, tmp_path_factory
) -> Callable[[str], Recipe]:
    """Nine steps in three epochs, with validation and milestones."""
    caches = tmp_path_factory.mktemp("caches")

    def make(name: str) -> Recipe:
        teacher = {"teacher": str(teacher_run)}
        steps = teacher | {"multi_step": True}
        distill = {
            "alone": None,
            "live": teacher,
            "cached": teacher | {"cache": str(caches)},
            "multi-step": steps,
            "multi-step cached": steps | {"cache": str(caches)},
            "angular": steps | {"loss": "angular"},
            "inherited": steps | {"loss": "inherited", "weight": 100.0},
            "learned": steps | {"projection": "learned", "cache": str(caches)},
            "unlabelled": teacher,
            "pca": teacher | {"projection": "pca"},
            "centred": teacher | {"projection": "centred"},
            "ekd": teacher | {"loss": "ekd", "temperature": 0.1, "cache": str(caches)},
            "adadistill": teacher | {"loss": "adadistill", "cache": str(caches)},
        }[name]
        sections: dict[str, Any] = {"distill": distill}
        if name == "angular":
            # Wider than its teacher, so that there are mappings.
            sections["model"] = {"options": {"channels": 4, "cells": 4}}
        if name == "unlabelled":
            sections["data"] = {"unlabelled": [str(tiny_people)], "train": []}
        if name in ("learned", "pca"):
            sections["model"] = {"embedding_size": 24 if name == "learned" else 12}
        return tiny_recipe(**sections, validation=tiny_pairs, milestones=True)

    return make


@pytest.fixture
def lesson(request, make_lesson) -> Recipe:
    return make_lesson(request.param)


@pytest.fixture(scope="session")
def whole_runs(make_lesson, train_run, tmp_path_factory) -> Callable[[str], Path]:
    """A run of each lesson that was never stopped."""

    @functools.cache
    def make(name: str) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pocketface.train.loop.LOG_EVERY", 1)
            return train_run(make_lesson(name), tmp_path_factory.mktemp("whole") / "run").run

    return make


@pytest.fixture
def whole(request, whole_runs) -> Path:
    return whole_runs(request.node.callspec.params["lesson"])


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it, nothing is saved."""


def at_step(monkeypatch, number: int, happens) -> None:
    """Let `happens()` run in the `number`-th training step of this test from now on."""
    real = TrainingStep.learn
    steps = 0

    def call(self, loaded):
        nonlocal steps
        steps += 1
        if steps == number:
            happens()
        return real(self, loaded)

    monkeypatch.setattr(TrainingStep, "learn", call)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def kill() -> None:
    raise Killed


def rows_of(run: Path) -> list[dict[str, float]]:
    return [
        {name: value for name, value in row.items() if name not in CLOCKED}
        for row in read_metrics(run)
    ]


def assert_same_tensors(ours: object, theirs: object, place: str = "") -> None:
    if isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs), place
    elif isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_same_tensors(ours[key], theirs[key], f"{place}.{key}")
    elif isinstance(ours, list):
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            assert_same_tensors(*pair, f"{place}.{number}")
    else:
        assert ours == theirs, place


def assert_same_run(ours: Path, theirs: Path) -> None:
    one, two = (load_checkpoint(run / "last.ckpt") for run in (ours, theirs))
    assert_same_tensors(one.states, two.states)
    assert set(one.states) >= {"backbone", "head", "backbone_optimiser", "head_optimiser"}
    one.position.seconds = two.position.seconds
    assert one.position == two.position
    assert rows_of(ours) == rows_of(theirs)
    for pattern in ("*.safetensors", "milestones/*.safetensors", "*.json", "milestones/*.json"):
        left, right = (sorted(run.glob(pattern)) for run in (ours, theirs))
        assert [path.name for path in left] == [path.name for path in right]
        for pair in zip(left, right, strict=True):
            assert pair[0].read_bytes() == pair[1].read_bytes(), pair[0]


@pytest.mark.parametrize("lesson", LESSONS, indirect=True)
def test_stopped_in_mid_epoch(lesson, whole, tmp_path, train_run, monkeypatch):
    at_step(monkeypatch, 5, interrupt)
    with pytest.raises(StoppedError, match=r"is saved. Go on with the same command and --resume"):
        train_run(lesson, tmp_path / "run")
    position = load_checkpoint(tmp_path / "run" / "last.ckpt").position
    assert (position.epoch, position.step_in_epoch, position.step) == (1, 2, 5)
    assert not (tmp_path / "run" / "last.safetensors").exists()
    train_run(lesson, tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("lesson", ["alone"], indirect=True)
@pytest.mark.parametrize("steps", [(1,), (3,), (9,), (2, 1, 3)])
def test_stopped_at_other_steps_and_more_than_once(
    lesson, whole, tmp_path, train_run, monkeypatch, steps
):
    for sitting, step in enumerate(steps):
        with monkeypatch.context() as patch:
            at_step(patch, step, interrupt)
            with pytest.raises(StoppedError):
                train_run(lesson, tmp_path / "run", resume=sitting > 0)
    train_run(lesson, tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("lesson", LESSONS, indirect=True)
def test_killed_in_mid_epoch(lesson, whole, tmp_path, train_run, monkeypatch):
    at_step(monkeypatch, 6, kill)
    with pytest.raises(Killed):
        train_run(lesson, tmp_path / "run")
    # The end of the first epoch is the newest that was saved.
    assert load_checkpoint(tmp_path / "run" / "last.ckpt").position.step == 3
    train_run(lesson, tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("lesson", ["alone"], indirect=True)
@pytest.mark.parametrize(
    ("place", "time"),
    [
        ("pocketface.train.loop.RunLog", 1),  # before the first step
        ("pocketface.train.loop.save_checkpoint", 2),
        ("pocketface.train.loop.save_checkpoint", 4),  # the last of all
        ("pocketface.train.loop.save_weights", 1),
        ("pocketface.train.loop.save_weights", 5),
        ("pocketface.models.weights.write_card", 2),  # weights without their card
        ("pocketface.train.checkpoint.atomic.sync_folder", 5),
        ("pocketface.train.loop.draw_curves", 1),
    ],
)
def test_killed_while_it_writes(lesson, whole, tmp_path, train_run, monkeypatch, place, time):
    with monkeypatch.context() as patch:
        calls = 0

        def die(*arguments: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls == time:
                raise Killed
            return real(*arguments, **options)

        module, _, name = place.rpartition(".")
        real = pytest.importorskip(module).__dict__[name] if "atomic" not in module else None
        if real is None:
            from pocketface import atomic

            real = atomic.sync_folder
            patch.setattr(atomic, "sync_folder", die)
        else:
            patch.setattr(place, die)
        with pytest.raises(Killed):
            train_run(lesson, tmp_path / "run")
    train_run(lesson, tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("lesson", ["alone"], indirect=True)
def test_checkpoints_in_between_do_not_touch_the_outcome(
    lesson, whole, tmp_path, train_run, monkeypatch
):
    often = lesson.model_copy(update={"checkpoint_minutes": 1e-9})
    with monkeypatch.context() as patch:
        at_step(patch, 6, kill)
        with pytest.raises(Killed):
            train_run(often, tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "last.ckpt").position.step == 5
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 2
    # How often a run is saved may be changed in its middle.
    train_run(lesson, tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("lesson", ["alone"], indirect=True)
def test_an_older_checkpoint_can_be_gone_on_from(lesson, whole, tmp_path, train_run, monkeypatch):
    at_step(monkeypatch, 8, kill)
    run = tmp_path / "run"
    with pytest.raises(Killed):
        train_run(lesson, run)
    newest = (run / "last.ckpt").resolve()
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"name one with --checkpoint"):
        train_run(lesson, run, resume=True)
    older = run / "checkpoints" / "step_000000003.ckpt"
    train_run(lesson, run, resume=True, checkpoint=older)
    assert_same_run(run, whole)


@pytest.mark.parametrize("lesson", ["alone"], indirect=True)
def test_a_finished_run_stays_as_it_is(lesson, tmp_path, train_run):
    run = train_run(lesson, tmp_path / "run").run
    shutil.copytree(run, tmp_path / "before", symlinks=True)
    result = train_run(lesson, run, resume=True)
    assert result.position.step == 9
    assert_same_run(run, tmp_path / "before")


@pytest.mark.parametrize("lesson", ["alone"], indirect=True)
def test_other_data_are_refused(lesson, tmp_path, train_run, tiny_people):
    people = tmp_path / "people"
    shutil.copytree(tiny_people, people)
    recipe = lesson.model_copy(
        update={"data": lesson.data.model_copy(update={"train": (people,)}), "epochs": 1}
    )
    run = train_run(recipe, tmp_path / "run").run
    shutil.copytree(people / "Person_00", people / "Person_06")
    before = (run / "last.safetensors").read_bytes()
    with pytest.raises(RecipeError, match=r"other training images(.|\n)*images: 35 here, 30 there"):
        train_run(recipe, run, resume=True)
    assert (run / "last.safetensors").read_bytes() == before


@pytest.mark.parametrize("lesson", ["alone"], indirect=True)
def test_another_recipe_is_refused(lesson, tmp_path, train_run):
    run = train_run(lesson.model_copy(update={"epochs": 1}), tmp_path / "run").run
    with pytest.raises(RecipeError, match="epochs: 3 here, 1 there"):
        train_run(lesson, run, resume=True)
    assert load_checkpoint(run / "last.ckpt").position.epoch == 1


def test_a_run_keeps_its_global_batch_from_any_checkpoint(tmp_path, tiny_recipe, train_run):
    whole = train_run(tiny_recipe(batch_size=10), tmp_path / "whole").run
    # What two processes would have left, before the newest keys of a recipe were known.
    left = load_checkpoint(whole / "checkpoints" / "step_000000006.ckpt")
    left.recipe["batch_size"] = 5
    del left.recipe["compile"]
    path = save_checkpoint(tmp_path / "two", left)
    recipe = tiny_recipe(batch_size=5)
    run = train_run(recipe, tmp_path / "run", resume=True, checkpoint=path).run
    saved = load_checkpoint(run / "last.ckpt")
    assert saved.global_batch == 10
    assert saved.position.images == 90
    for name, value in load_checkpoint(whole / "last.ckpt").states["backbone"].items():
        assert torch.equal(value, saved.states["backbone"][name]), name
    assert [row["learning_rate"] for row in read_metrics(run)] == [
        row["learning_rate"] for row in read_metrics(whole) if row["step"] > 6
    ]
    # Going on from there needs the global batch no less.
    assert train_run(recipe, run, resume="auto").position.images == 90
