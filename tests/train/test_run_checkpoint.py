"""Checkpoints: whole or not there, and clear words on broken ones."""

import os
from pathlib import Path
from typing import BinaryIO

import pytest
import torch

from pocketface.errors import TrainingError, WeightsError
from pocketface.train.checkpoint import Checkpoint, Position, load_checkpoint, save_checkpoint


def make(step: int) -> Checkpoint:
    generator = torch.Generator().manual_seed(step)
    states = {"backbone": {"weight": torch.randn(40, 40, generator=generator)}, "head": {}}
    position = Position(epoch=2, step_in_epoch=5, step=step, best_accuracy=0.75, images=99)
    return Checkpoint(states, position, {"epochs": 3}, {"images": 30, "labels": "ab"})


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_what_is_saved_is_what_is_loaded(tmp_path):
    path = save_checkpoint(tmp_path, make(7))
    assert path == tmp_path / "checkpoints" / "step_000000007.ckpt"
    assert (tmp_path / "last.ckpt").resolve() == path.resolve()
    # A relative link, so that a run's folder can be moved.
    assert not (tmp_path / "last.ckpt").readlink().is_absolute()
    for found in (load_checkpoint(path), load_checkpoint(tmp_path / "last.ckpt")):
        weight = found.states["backbone"]["weight"]
        assert torch.equal(weight, make(7).states["backbone"]["weight"])
        assert found.position == make(7).position
        assert (found.recipe, found.batches) == (make(7).recipe, make(7).batches)


def test_the_newest_are_kept(tmp_path):
    for step in (1, 2, 3, 4):
        save_checkpoint(tmp_path, make(step))
    assert names(tmp_path) == ["step_000000003.ckpt", "step_000000004.ckpt"]
    for step in (5, 6):
        save_checkpoint(tmp_path, make(step), keep=4)
    assert names(tmp_path) == [f"step_00000000{n}.ckpt" for n in (3, 4, 5, 6)]
    save_checkpoint(tmp_path, make(7), keep=1)
    assert names(tmp_path) == ["step_000000007.ckpt"]


def test_a_way_from_an_older_checkpoint_keeps_its_own(tmp_path):
    for step in (100, 150, 200):
        save_checkpoint(tmp_path, make(step), keep=3)
    for number, path in enumerate(sorted((tmp_path / "checkpoints").iterdir())):
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
    save_checkpoint(tmp_path, make(110))
    assert load_checkpoint(tmp_path / "last.ckpt").position.step == 110
    assert names(tmp_path) == ["step_000000110.ckpt", "step_000000200.ckpt"]
    save_checkpoint(tmp_path, make(120))
    assert names(tmp_path) == ["step_000000110.ckpt", "step_000000120.ckpt"]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("No space left on device")]
)
def test_a_full_disk_leaves_the_old_checkpoint_as_it_was(tmp_path, monkeypatch, error):
    save_checkpoint(tmp_path, make(1))
    before = (tmp_path / "last.ckpt").read_bytes()
    real = torch.save

    def half(content: object, file: BinaryIO) -> None:
        real(content, file)
        file.truncate(file.tell() // 2)
        raise error

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(
        TrainingError, match=r"step_000000002.ckpt cannot be .* No space .*--resume"
    ):
        save_checkpoint(tmp_path, make(2))
    assert (tmp_path / "last.ckpt").read_bytes() == before
    assert names(tmp_path) == ["step_000000001.ckpt"]
    monkeypatch.undo()
    save_checkpoint(tmp_path, make(2))
    assert load_checkpoint(tmp_path / "last.ckpt").position.step == 2


def test_a_kill_while_writing_leaves_rubbish_that_the_next_checkpoint_removes(tmp_path):
    save_checkpoint(tmp_path, make(1))
    rubbish = tmp_path / "checkpoints" / "step_000000002.ckpt.tmp-12345"
    rubbish.write_bytes(b"half")
    (tmp_path / "last.ckpt.tmp").symlink_to("nowhere")
    assert load_checkpoint(tmp_path / "last.ckpt").position.step == 1
    save_checkpoint(tmp_path, make(2))
    assert names(tmp_path) == ["step_000000001.ckpt", "step_000000002.ckpt"]
    assert not (tmp_path / "last.ckpt.tmp").is_symlink()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named_with_the_way_out(tmp_path, share):
    path = save_checkpoint(tmp_path, make(1))
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(WeightsError, match=r"cannot be read as a checkpoint .* with --checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "content", [{"weight": torch.zeros(2)}, torch.zeros(2), {"format": 1, "states": {}}]
)
def test_a_file_that_is_no_checkpoint_of_ours(tmp_path, content):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"is not a checkpoint of this version .* use --init"):
        load_checkpoint(path)


def test_a_checkpoint_that_holds_code_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "evil.ckpt"
    torch.save({"format": 2, "states": Evil()}, path)
    with pytest.raises(WeightsError, match="cannot be read"):
        load_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_no_checkpoint(tmp_path):
    with pytest.raises(WeightsError, match=r"no checkpoint at .*last.ckpt. Start .* without --res"):
        load_checkpoint(tmp_path / "last.ckpt")
