"""Batches made ready ahead: as in the plain order, from the right teacher, safely handed over."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lightning_fabric import Fabric

from pocketface.distill import FaceBatch, Outputs, Teacher
from pocketface.train.feed import Feed, OwnStream
from pocketface.train.loop import Trainer
from pocketface.train.step import ReadyBatch


def trainer_of(recipe, run: Path) -> Trainer:
    trainer = Trainer(recipe, run, Fabric(accelerator="cpu", devices=1), quiet=True)
    trainer.step.train_mode()
    trainer.step.set_rate(0.1)
    return trainer


class Told(Teacher):
    """A teacher whose targets are the number of the epoch that it was told, and each image's."""

    embedding_size = 2

    def __init__(self) -> None:
        self.epoch = -1
        self.asked: list[int] = []

    def at_epoch(self, epoch: int, epochs: int) -> None:
        self.epoch = epoch

    def targets(self, batch: FaceBatch) -> Outputs:
        self.asked.append(len(batch.indices))
        embeddings = torch.stack([torch.full_like(batch.indices, self.epoch), batch.indices], 1)
        means = batch.images.float().mean(dim=(1, 2))
        return Outputs(embeddings.float(), (means, batch.labels.float()))


@pytest.fixture(scope="module")
def told(tiny_recipe, tmp_path_factory) -> Trainer:
    trainer = trainer_of(tiny_recipe(batch_size=4), tmp_path_factory.mktemp("told"))
    trainer.step.teacher = Told()
    return trainer


@pytest.mark.parametrize("source", ["alone", "live", "cached", "multi-step", "angular"])
def test_training_from_the_feed_is_the_plain_loop_to_the_last_bit(
    tmp_path, tiny_recipe, teacher_run, source
):
    distill = {
        "alone": None,
        "live": {"teacher": str(teacher_run)},
        "cached": {"teacher": str(teacher_run), "cache": str(tmp_path / "cache")},
        "multi-step": {"teacher": str(teacher_run), "multi_step": True},
        "angular": {"teacher": str(teacher_run), "loss": "angular"},
    }[source]
    recipe = tiny_recipe(distill=distill, epochs=2)
    plain, fed = (trainer_of(recipe, tmp_path / name) for name in ("plain", "fed"))
    for epoch in range(2):
        for trainer in (plain, fed):
            if trainer.step.teacher is not None:
                trainer.step.teacher.at_epoch(epoch, 2)
        losses = [float(plain.step(loaded)["loss"]) for loaded in plain.loader.epoch(epoch)]
        ours = [float(fed.step.learn(ready)["loss"]) for ready, _ in fed.feed.epoch(epoch)]
        assert ours == losses
        assert len(ours) == 3
    for name, value in plain.step.objective.state_dict().items():
        assert torch.equal(value, fed.step.objective.state_dict()[name]), name


@given(together=st.integers(1, 9), start=st.integers(0, 7), epoch=st.integers(0, 3))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_batch_has_its_own_targets_however_many_are_asked_together(
    told, together, start, epoch
):
    teacher = told.step.teacher
    teacher.at_epoch(epoch, 4)
    teacher.asked.clear()
    fed = list(Feed(told.loader, told.step, together).epoch(epoch, start))
    plain = list(told.loader.epoch(epoch, start))
    assert len(fed) == len(plain) == 7 - start
    for (ready, _), loaded in zip(fed, plain, strict=True):
        assert torch.equal(ready.loaded.images, loaded.images)
        assert torch.equal(ready.batch.indices, loaded.indices)
        assert torch.equal(ready.batch.labels, loaded.labels)
        embeddings, (means, labels) = ready.targets
        assert embeddings[:, 0].unique().tolist() == [epoch]
        assert torch.equal(embeddings[:, 1].long(), loaded.indices)
        assert torch.equal(means, ready.batch.images.float().mean(dim=(1, 2)))
        assert torch.equal(labels.long(), loaded.labels)
    # What is asked as one does not depend on where the run went on: 28 images, 7 batches.
    first = start - start % together
    groups = [min(together, 7 - at) * 4 for at in range(first, 7, together)]
    assert teacher.asked == groups


def test_the_next_group_is_asked_while_the_first_step_of_this_one_is_under_way(told):
    teacher = told.step.teacher
    teacher.asked.clear()
    seen = []
    for _ in Feed(told.loader, told.step, 3).epoch(0):
        seen.append(len(teacher.asked))
    assert seen == [1, 2, 2, 2, 3, 3, 3]
    teacher.asked.clear()
    for number, _ in enumerate(Feed(told.loader, told.step).epoch(0), 1):
        assert len(teacher.asked) == number  # the plain order


def test_nothing_of_the_next_epoch_is_asked_of_this_ones_teacher(told):
    teacher, feed = told.step.teacher, Feed(told.loader, told.step, 2)
    for epoch in range(3):
        teacher.at_epoch(epoch, 3)
        for ready, _ in feed.epoch(epoch):
            assert ready.targets.embeddings[:, 0].unique().tolist() == [epoch]


def test_a_feed_that_is_left_in_mid_epoch_begins_anew(told):
    feed = Feed(told.loader, told.step, 2)
    batches = feed.epoch(0)
    first, _ = next(batches)
    batches.close()
    again, _ = next(feed.epoch(0))
    assert torch.equal(first.batch.indices, again.batch.indices)


def test_a_wait_is_the_time_that_the_loader_took(told, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("pocketface.train.feed.time.monotonic", lambda: now[0])

    def slow(epoch: int, start: int) -> Iterator[object]:
        for loaded in list(told.loader.epoch(epoch, start)):
            now[0] += 1.5
            yield loaded

    class Slow(Told):
        def targets(self, batch: FaceBatch) -> Outputs:
            now[0] += 10.0
            return super().targets(batch)

    monkeypatch.setattr(told.step, "teacher", Slow())
    loader = SimpleNamespace(epoch=slow)
    waits = []
    for _, waited in Feed(loader, told.step).epoch(0):
        waits.append(waited)
        now[0] += 100.0
    assert waits == [1.5] * 7


def test_no_group_at_all_is_a_mistake(told):
    with pytest.raises(ValueError, match=r"at least 1\. Got 0"):
        Feed(told.loader, told.step, 0)


class Clock:
    """Stands for a GPU: notes what is asked of its streams, in order; events end at once."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.current = self.stream("student")
        self.events = 0

    def stream(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(
            name=name,
            wait_stream=lambda other: self.calls.append(f"{name} waits for {other.name}"),
            wait_event=lambda event: self.calls.append(f"{name} waits for {event.name}"),
        )

    def event(self, enable_timing: bool = False) -> SimpleNamespace:
        self.events += 1
        made = SimpleNamespace(name="", at=0, timed=enable_timing)

        def record(stream: SimpleNamespace) -> None:
            made.at = len(self.calls)
            made.name = f"event {made.at} of {stream.name}"

        def elapsed(later: SimpleNamespace) -> float:
            assert made.timed
            assert later.timed
            return 1000.0 * (later.at - made.at)

        made.record, made.query, made.elapsed_time = record, lambda: True, elapsed
        return made

    @contextmanager
    def on(self, stream: SimpleNamespace) -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before


@pytest.fixture
def gpu(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: clock.stream("ahead"))
    monkeypatch.setattr(torch.cuda, "Event", clock.event)
    monkeypatch.setattr(torch.cuda, "stream", clock.on)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: clock.current)
    return clock


def on_a_gpu(gpu: Clock, ready: ReadyBatch) -> list[SimpleNamespace]:
    """Stand-ins for the batch's tensors, as they would lie on a GPU."""
    names = ("images", "labels", "embeddings", "stages")
    return [
        SimpleNamespace(
            is_cuda=True,
            record_stream=lambda stream, name=name: gpu.calls.append(
                f"{name} kept for {stream.name}"
            ),
        )
        for name in names
    ]


def test_the_student_waits_for_its_batch_and_its_memory_is_kept(told, gpu, monkeypatch):
    feed = Feed(told.loader, told.step, 2)
    feed._lane = OwnStream(torch.device("cpu"))
    real: Callable[..., FaceBatch] = told.step.prepare

    def prepare(loaded: object) -> FaceBatch:
        gpu.calls.append(f"{gpu.current.name} prepares")
        return real(loaded)

    monkeypatch.setattr(told.step, "prepare", prepare)
    monkeypatch.setattr("pocketface.train.feed._on_the_gpu", lambda ready: on_a_gpu(gpu, ready))
    waits = 0.0
    for _, waited in feed.epoch(0, 4):  # batches 4, 5 and 6
        gpu.calls.append(f"{gpu.current.name} learns")
        waits += waited
    kept = [f"{name} kept for student" for name in ("images", "labels", "embeddings", "stages")]
    assert gpu.calls == [
        "ahead waits for student",
        "ahead prepares",
        "ahead prepares",
        "student waits for event 3 of ahead",
        *kept,
        "student learns",
        "ahead prepares",  # batch 6, while the student learns from 4
        "student waits for event 3 of ahead",  # not for the later one
        *kept,
        "student learns",
        "student waits for event 10 of ahead",
        *kept,
        "student learns",
    ]
    # From begin, or the step before, to the taking over: in this clock, calls between.
    assert waits == (8 - 1) + (15 - 9) + (21 - 16)
