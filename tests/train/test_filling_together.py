"""Processes that fill one cache together: each part once, and the same as one process fills."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from pocketface.data import FolderFaces
from pocketface.distill.embedding import EmbeddingConfig
from pocketface.distill.teacher import LiveTeacher
from pocketface.train import teachers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def total(number: torch.Tensor, reduce_op: str) -> torch.Tensor:
    if dist.is_initialized():
        dist.all_reduce(number)
    return number


def fill_in_one_of_two(people: Path, run: Path, cache: Path) -> int:
    """What each process does; gives how many images its teachers looked at."""
    looked = 0
    real = LiveTeacher.look

    def look(self: LiveTeacher, images: torch.Tensor) -> Any:
        nonlocal looked
        looked += len(images)
        time.sleep(0.05)  # so that one process cannot do it all before the other has begun
        return real(self, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pocketface.distill.cache.images_per_shard", lambda images: 4)
        patch.setattr(LiveTeacher, "look", look)
        fabric = SimpleNamespace(
            global_rank=dist.get_rank() if dist.is_initialized() else 0,
            world_size=dist.get_world_size() if dist.is_initialized() else 1,
            all_reduce=total,
            device=torch.device("cpu"),
        )
        teacher = teachers.create_teacher(
            EmbeddingConfig(teacher=run, multi_step=True, cache=cache),
            FolderFaces(people),
            embedding_size=16,
            fabric=fabric,  # type: ignore[arg-type]
            quiet=True,
        )
        for epoch in range(3):
            teacher.at_epoch(epoch, 3)
    return looked


def test_two_processes_fill_what_one_would(processes, tiny_people, teacher_run, tmp_path):
    alone = fill_in_one_of_two(tiny_people, teacher_run, tmp_path / "one")
    shares = processes(2, fill_in_one_of_two, tiny_people, teacher_run, tmp_path / "two")
    assert alone == sum(shares) == 3 * 2 * 30  # three milestones, image and mirror
    assert min(shares) > 0
    folders = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == folders
    for path in (tmp_path / "one").glob("*/shard_*.npy"):
        theirs = np.load(tmp_path / "two" / path.parent.name / path.name)
        assert np.array_equal(theirs, np.load(path))
    # A shard that breaks is found by the process whose part it is, and made again by one of them.
    broken = sorted((tmp_path / "two").glob("*/shard_00003.npy"))
    before = [path.read_bytes() for path in broken]
    for path in broken:
        path.write_bytes(path.read_bytes()[:-1])
    shares = processes(2, fill_in_one_of_two, tiny_people, teacher_run, tmp_path / "two")
    assert sum(shares) == 3 * 2 * 4
    assert [path.read_bytes() for path in broken] == before
