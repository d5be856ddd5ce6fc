"""Batches: the same however they are read, shared and resumed."""

import os
import pickle
import shutil
import signal
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pocketface.data import FolderFaces, decode_rgb
from pocketface.embedding.resize import resize_faces
from pocketface.errors import DataError, RecipeError
from pocketface.train.augment import AugmentConfig, AugmentPlan, augment, draw_plan
from pocketface.train.loader import FaceImages, FaceLoader, LoadedBatch, Share

AUGMENT = AugmentConfig(mirror=True, shift=2, brightness=0.2, contrast=0.2, erase=0.3)
PARTS = [field.name for field in fields(AugmentPlan)]


def make(faces: FolderFaces, **options: object) -> FaceLoader:
    given = {"image_size": 32, "global_batch": 8, "seed": 0, "augment": AUGMENT, "in_memory": True}
    return FaceLoader(faces, **(given | options))


def assert_equal(ours: LoadedBatch, theirs: LoadedBatch) -> None:
    assert torch.equal(ours.images, theirs.images)
    assert torch.equal(ours.labels, theirs.labels)
    assert torch.equal(ours.indices, theirs.indices)
    assert_same_plan(ours.plan, theirs.plan)


def assert_same_plan(ours: AugmentPlan, theirs: AugmentPlan) -> None:
    for part in PARTS:
        assert np.array_equal(getattr(ours, part), getattr(theirs, part)), part


@pytest.fixture
def broken_people(tmp_path, tiny_people) -> Path:
    """The tiny set with one file of noise, one cut short, and one that is not square."""
    root = tmp_path / "people"
    shutil.copytree(tiny_people, root)
    (root / "Person_01" / "Person_01_0002.png").write_bytes(b"no image at all")
    cut = root / "Person_03" / "Person_03_0001.png"
    cut.write_bytes(cut.read_bytes()[:-40])
    Image.new("RGB", (64, 48)).save(root / "Person_04" / "Person_04_0005.png")
    return root


BROKEN = ["Person_01/Person_01_0002.png", "Person_03/Person_03_0001.png"]
BROKEN += ["Person_04/Person_04_0005.png"]


def test_images_are_those_of_the_indices(tiny_faces):
    for batch in make(tiny_faces).epoch(3):
        assert batch.images.dtype == torch.uint8
        for image, label, index in zip(batch.images, batch.labels, batch.indices, strict=True):
            stored = decode_rgb(tiny_faces.encoded(int(index)), "")
            assert np.array_equal(image.numpy(), resize_faces(stored[None], 32)[0])
            assert int(label) == tiny_faces.labels[int(index)]


def test_an_epoch_is_one_permutation_of_the_set(tiny_faces):
    loader = make(tiny_faces, global_batch=6)
    assert loader.steps == 5
    seen = [torch.cat([b.indices for b in loader.epoch(epoch)]).tolist() for epoch in range(3)]
    assert all(sorted(order) == list(range(30)) for order in seen)
    assert seen[0] != seen[1] != seen[2]
    assert seen[0] != list(range(30))


def test_images_beyond_the_last_whole_batch_wait_for_another_epoch(tiny_faces):
    loader = make(tiny_faces)
    assert loader.steps == 3
    seen = set()
    for epoch in range(20):
        batches = list(loader.epoch(epoch))
        assert [len(batch.labels) for batch in batches] == [8, 8, 8]
        seen |= {int(i) for batch in batches for i in batch.indices}
    assert seen == set(range(30))


@pytest.mark.parametrize("start", [1, 2, 3])
def test_a_later_start_gives_the_tail_of_the_epoch(tiny_faces, start):
    loader = make(tiny_faces)
    tail = list(loader.epoch(5, start))
    whole = list(loader.epoch(5))
    assert len(tail) == 3 - start
    for ours, theirs in zip(tail, whole[start:], strict=True):
        assert_equal(ours, theirs)


def test_seed_and_epoch_decide(tiny_faces):
    first = next(make(tiny_faces).epoch(0))
    assert_equal(first, next(make(tiny_faces).epoch(0)))
    for other in (make(tiny_faces, seed=1).epoch(0), make(tiny_faces).epoch(1)):
        batch = next(other)
        assert not torch.equal(batch.indices, first.indices)
        assert not np.array_equal(batch.plan.brightness, first.plan.brightness)


def test_plans_of_an_epoch_differ_and_are_not_the_orders_random_numbers(tiny_faces):
    plans = [batch.plan.brightness for batch in make(tiny_faces).epoch(0)]
    assert len({tuple(plan) for plan in plans}) == 3
    # The random numbers of the order would give this plan; NumPy pads a seed with zeros.
    orders = draw_plan(AUGMENT, np.random.default_rng((0, 0)), 8)
    assert not any(np.array_equal(orders.brightness, plan) for plan in plans)


def test_two_shares_of_four_are_one_batch_of_eight(tiny_faces):
    whole = list(make(tiny_faces).epoch(2))
    halves = [
        list(make(tiny_faces, global_batch=8, share=Share(rank, 2)).epoch(2)) for rank in (0, 1)
    ]
    assert len(whole) == len(halves[0]) == len(halves[1])
    for batch, left, right in zip(whole, *halves, strict=True):
        assert torch.equal(torch.cat([left.indices, right.indices]), batch.indices)
        assert torch.equal(torch.cat([left.labels, right.labels]), batch.labels)
        ours = torch.cat([augment(half.images, half.plan, AUGMENT) for half in (left, right)])
        assert torch.equal(ours, augment(batch.images, batch.plan, AUGMENT))


def test_a_loader_in_this_process_gives_what_memory_gives(tiny_faces):
    for ours, theirs in zip(
        make(tiny_faces, in_memory=False).epoch(1), make(tiny_faces).epoch(1), strict=True
    ):
        assert_equal(ours, theirs)


def test_unreadable_images_are_left_out_by_name_alike_in_memory_and_not(broken_people):
    faces = FolderFaces(broken_people)
    loaders = [make(faces, in_memory=in_memory, global_batch=6) for in_memory in (True, False)]
    left_out = 0
    for epoch in range(3):
        both = zip(*(loader.epoch(epoch) for loader in loaders), strict=True)
        for ours, theirs in both:
            assert_equal(ours, theirs)
            assert len(ours.images) == len(ours.indices) == len(ours.plan.mirrored)
            left_out += 6 - len(ours.labels)
    assert left_out == 3 * 3
    for loader in loaders:
        assert len(loader.unreadable) == 3
        for name, fault in zip(BROKEN, sorted(loader.unreadable), strict=True):
            assert name in fault
    assert "square" in sorted(loaders[0].unreadable)[2]


def test_an_unreadable_image_does_not_shift_the_others(broken_people):
    faces = FolderFaces(broken_people)
    loader = make(faces, global_batch=30, in_memory=False)
    whole = make(faces, global_batch=30).epoch(0)
    (batch,) = loader.epoch(0)
    assert len(batch.labels) == 27
    for image, label, index in zip(batch.images, batch.labels, batch.indices, strict=True):
        stored = decode_rgb(faces.encoded(int(index)), "")
        assert np.array_equal(image.numpy(), resize_faces(stored[None], 32)[0])
        assert int(label) == faces.labels[int(index)]
    assert_equal(next(whole), batch)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_batch_with_fewer_than_two_readable_images_is_an_error(tmp_path, tiny_people, in_memory):
    root = tmp_path / "people"
    shutil.copytree(tiny_people, root)
    for image in sorted(root.rglob("*.png"))[1:]:
        image.write_bytes(b"gone")
    loader = make(FolderFaces(root), global_batch=30, in_memory=in_memory)
    with pytest.raises(
        DataError, match=r"only 1 of the 30 images .* The first: Person_0.*png: .*can"
    ):
        next(loader.epoch(0))


@pytest.mark.timeout(120)
def test_workers_give_what_this_process_gives_and_name_the_unreadable(broken_people):
    faces = FolderFaces(broken_people)
    loader = make(faces, in_memory=False, workers=1)
    batches = loader.epoch(0)
    first = next(batches)
    workers = _children()
    # A terminal's Ctrl-C reaches the workers too, and torchrun's SIGTERM; the run needs them to end
    # its step.
    for child in workers:
        os.kill(child, signal.SIGINT)
        os.kill(child, signal.SIGTERM)
    time.sleep(0.2)
    for ours, theirs in zip([first, *batches], make(faces).epoch(0), strict=True):
        assert_equal(ours, theirs)
    plain = make(faces, in_memory=False)
    list(plain.epoch(0))
    # The workers stay for the next epoch, which may begin in its middle.
    for ours, theirs in zip(loader.epoch(1, 2), plain.epoch(1, 2), strict=True):
        assert_equal(ours, theirs)
    assert _children() == workers
    assert loader.unreadable == plain.unreadable != set()


def _children() -> list[int]:
    """The processes that this one started."""
    listing = Path(f"/proc/self/task/{os.getpid()}/children")
    if not listing.exists():
        pytest.skip("no list of child processes on this system")
    return [int(number) for number in listing.read_text().split()]


def test_decoding_into_memory_tells_its_progress(tiny_faces):
    told: list[int] = []
    make(tiny_faces, progress=told.append)
    assert sum(told) == 30


def test_images_can_be_sent_to_workers(tiny_faces):
    images = pickle.loads(pickle.dumps(FaceImages(tiny_faces, 32)))
    pixels, faults = images.__getitems__([7, 2])
    assert np.array_equal(pixels, FaceImages(tiny_faces, 32).__getitems__([7, 2])[0])
    assert faults == ["", ""]


def test_too_few_images_for_a_batch(tiny_faces):
    with pytest.raises(RecipeError, match=r"has 30 images, fewer than one batch of 32. Lower"):
        make(tiny_faces, global_batch=32, share=Share(0, 2))


@given(batch=st.integers(2, 3000), world=st.integers(1, 40))
def test_shares_are_the_whole_batch_and_as_equal_as_can_be(batch, world):
    shares = [Share(rank, world) for rank in range(world)]
    rows = [row for share in shares for row in range(batch)[share.rows(batch)]]
    assert rows == list(range(batch))
    sizes = [share.images(batch) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    # The mean of the processes' weighted means is the mean over the batch.
    for share, size in zip(shares, sizes, strict=True):
        assert share.weight(batch) / world == pytest.approx(size / batch)
    if batch % world == 0:
        assert {share.weight(batch) for share in shares} == {1.0}


def test_three_shares_of_a_batch_of_eight(tiny_faces):
    (whole, *_) = make(tiny_faces).epoch(0)
    parts = [next(make(tiny_faces, share=Share(rank, 3)).epoch(0)) for rank in range(3)]
    assert [len(part.images) for part in parts] == [2, 3, 3]
    assert [part.weight for part in parts] == [6 / 8, 9 / 8, 9 / 8]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)


def test_too_many_processes_for_a_batch(tiny_faces):
    make(tiny_faces, share=Share(3, 4))
    with pytest.raises(RecipeError, match=r"batch of 8 .* small for 5 processes.* at most 4 pro"):
        make(tiny_faces, share=Share(3, 5))


def test_a_shift_of_the_whole_image_is_refused(tiny_faces):
    with pytest.raises(RecipeError, match=r"augment.shift must be less .* 32 pixels. Got 32"):
        make(tiny_faces, augment=AugmentConfig(shift=32))


def test_identity_tells_other_data_and_other_batches(tiny_faces, tmp_path, coarse_people):
    ours = make(tiny_faces).identity
    assert ours == make(tiny_faces, seed=3, in_memory=False).identity
    assert ours == make(tiny_faces, global_batch=8, share=Share(1, 2)).identity
    assert ours != make(tiny_faces, global_batch=4).identity
    fewer = FolderFaces(coarse_people(tmp_path / "five", people=5, images=6))
    assert make(fewer).identity["images"] == ours["images"]
    assert make(fewer).identity != ours


@pytest.mark.parametrize("in_memory", [True, False])
def test_what_goes_to_a_gpu_lies_in_pinned_memory(tiny_faces, monkeypatch, in_memory):
    pinned: list[torch.Tensor] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor.clone())
        return pinned[-1]

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda tensor: False)
    batches = list(make(tiny_faces, in_memory=in_memory, pin_memory=True).epoch(0))
    for ours, theirs, held in zip(batches, make(tiny_faces).epoch(0), pinned, strict=True):
        assert ours.images is held
        assert_equal(ours, theirs)
