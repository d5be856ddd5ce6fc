"""A disk that is really full: the run says which file and what to do, and goes on afterwards."""

import contextlib
import importlib
import resource
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pocketface import atomic
from pocketface.errors import TrainingError
from pocketface.train.checkpoint import load_checkpoint
from pocketface.train.event_file import EventFile
from pocketface.train.launch import carry_out
from pocketface.train.log import RunLog, read_metrics

ROOMY = 4 << 20  # bytes: a tiny run needs less than one of these four MiB


class SmallDisk:
    """A file system of its own in memory, which is filled and emptied at will."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no file system can be mounted here: {getattr(error, 'stderr', error)}")

    def resize(self, size: int) -> None:
        options = f"remount,size={size}"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True)

    def fill(self) -> None:
        with self._filler.open("wb", 0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    def make_room(self) -> None:
        self._filler.unlink()

    def close(self) -> None:
        # Lazily: a test that failed may hold a file open.
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


class FileSizeLimit:
    """The system lets this process write to no file: a full disk for those who may not mount."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._limits[1]))

    def make_room(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)

    def close(self) -> None:
        self.make_room()


@pytest.fixture(params=[SmallDisk, FileSizeLimit])
def disk(request, tmp_path) -> Iterator[SmallDisk | FileSizeLimit]:
    disk = request.param(tmp_path / "disk")
    yield disk
    disk.close()


@pytest.fixture(scope="module")
def train(tiny_recipe, tiny_pairs) -> Callable[..., None]:
    """Three steps, their validation, and every file that a run can leave."""

    def run(folder: Path, **options: object) -> None:
        recipe = tiny_recipe(epochs=1, milestones=True, validation=tiny_pairs)
        carry_out(recipe, folder, device="cpu", quiet=True, **options)

    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory, train) -> Path:
    """A run that always had room."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(folder)
    return folder


def fill_before(monkeypatch, disk: SmallDisk | FileSizeLimit, place: str, time: int) -> None:
    """Let the disk be full from the `time`-th call of the function `place` on."""
    holder, _, name = place.rpartition(".")
    module, _, kind = holder.partition(":")
    owner = importlib.import_module(module)
    owner = getattr(owner, kind) if kind else owner
    real, calls = getattr(owner, name), 0

    def call(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == time:
            disk.fill()
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, call)


@pytest.mark.slow
@pytest.mark.usefixtures("picture")
@pytest.mark.parametrize(
    ("place", "time", "file"),
    [
        ("pocketface.train.launch:runs.begin", 1, "recipe.yaml"),
        ("pocketface.train.loop.save_checkpoint", 1, "checkpoints/step_000000000.ckpt"),
        ("pocketface.train.loop.RunLog", 1, "events.out.tfevents"),
        ("pocketface.train.loop:RunLog.write", 1, "metrics.jsonl"),
        ("pocketface.train.loop.save_weights", 1, "best.safetensors"),
        ("pocketface.train.loop.save_weights", 2, "milestones/epoch_0001.safetensors"),
        ("pocketface.models.weights.write_card", 1, "best.json"),
        ("pocketface.train.loop.save_checkpoint", 2, "checkpoints/step_000000003.ckpt"),
        ("pocketface.train.loop.draw_curves", 1, "figures/training.png"),
    ],
)
def test_whatever_is_written_when_the_disk_is_full(
    disk, train, whole, monkeypatch, place, time, file
):
    run = disk.folder / "run"
    with monkeypatch.context() as patch:
        fill_before(patch, disk, place, time)
        with pytest.raises(TrainingError) as caught:
            train(run)
    said = str(caught.value)
    disk.make_room()
    assert f"{run / file}" in said
    assert "cannot be written: " in said
    assert "No space left on device" in said or "File too large" in said
    begun = (run / "last.ckpt").exists()
    if begun:
        assert f"go on with --resume; {run / 'last.ckpt'} is as it was" in said
        load_checkpoint(run / "last.ckpt")
    else:
        assert "Make room on the disk and give the same command again" in said
    # Nothing half-written carries a name that is read.
    assert not list(run.rglob(f"*{atomic.TEMPORARY}*"))
    train(run, resume=begun)
    for path in whole.rglob("*.safetensors"):
        assert (run / path.relative_to(whole)).read_bytes() == path.read_bytes()
    assert [row["step"] for row in read_metrics(run)] == [3, 3]


def test_a_disk_with_room_for_two_checkpoints_keeps_both(tmp_path, tiny_recipe, train_run, whole):
    recipe = tiny_recipe()
    disk = SmallDisk(tmp_path / "disk")
    try:
        run = disk.folder / "run"
        # The new one is written before an old one is removed, so that it takes room for three.
        disk.resize(int(2.6 * (whole / "last.ckpt").stat().st_size))
        with pytest.raises(TrainingError, match=r"_000000009.ckpt cannot be written: No space"):
            train_run(recipe, run)
        names = [path.name for path in sorted((run / "checkpoints").iterdir())]
        assert names == ["step_000000003.ckpt", "step_000000006.ckpt"]
        assert load_checkpoint(run / "last.ckpt").position.step == 6
        disk.resize(ROOMY)
        train_run(recipe, run, resume=True)
        assert load_checkpoint(run / "last.ckpt").position.step == 9
    finally:
        disk.close()


def write_until_full(rows: RunLog | EventFile) -> None:
    """A file's last page may have room for some rows yet."""
    for step in range(2, 1000):
        rows.write(step, {"loss": 1.0})


def test_an_event_file_on_a_full_disk_names_itself_and_leaves_no_thread(disk):
    threads = threading.active_count()
    events = EventFile(disk.folder, 1)
    disk.fill()
    with pytest.raises(OSError, match=r"events.out.tfevents") as caught:
        write_until_full(events)
    disk.make_room()
    events.close()
    assert caught.value.filename == str(events.path)
    assert threading.active_count() == threads


def test_a_row_that_was_cut_by_a_full_disk_is_left_out(disk):
    log = RunLog(disk.folder, 0)
    log.write(1, {"loss": 1.0})
    disk.fill()
    with pytest.raises(OSError, match=r"metrics.jsonl|events.out"):
        write_until_full(log)
    disk.make_room()
    log.close()
    rows = read_metrics(disk.folder)
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    RunLog(disk.folder, 1).close()
    assert read_metrics(disk.folder) == [{"step": 1, "loss": 1.0}]


def test_another_fault_of_the_disk_is_not_called_a_full_one(tmp_path, train, monkeypatch):
    def refuse(run: Path) -> None:
        raise PermissionError(13, "Permission denied", str(run))

    monkeypatch.setattr("pocketface.train.loop.draw_curves", refuse)
    with pytest.raises(PermissionError):
        train(tmp_path / "run")


def test_what_a_killed_process_left_is_removed_when_the_run_goes_on(tmp_path, train, whole):
    run = tmp_path / "run"
    train(run)
    rubbish = [
        run / "last.safetensors.tmp-123",
        run / "metrics.jsonl.tmp-4",
        run / "milestones" / "epoch_0002.json.tmp-99999",
        run / "checkpoints" / "step_000000009.ckpt.tmp-1",
    ]
    own = run / "notes.tmp-mine"
    for path in (*rubbish, own):
        path.write_bytes(b"half")
    train(run, resume=True)
    assert not any(path.exists() for path in rubbish)
    assert own.exists()
    milestones = {path.name for path in (run / "milestones").iterdir()}
    assert milestones == {path.name for path in (whole / "milestones").iterdir()}
