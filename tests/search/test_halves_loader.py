"""What the searched network is shown of either half."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pocketface.data import FolderFaces
from pocketface.search.config import SearchConfig
from pocketface.search.halves_loader import HalvesLoader

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces(search_people) -> FolderFaces:
    return FolderFaces(search_people)


@pytest.fixture(scope="module")
def halves(tiny_search: Callable[..., SearchConfig], faces) -> HalvesLoader:
    return HalvesLoader(tiny_search(), faces, CPU)


def pixels(images: Tensor) -> Tensor:
    """Back from network input to uint8 (N, S, S, 3)."""
    return ((images * 0.5 + 0.5) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def test_the_weights_half_is_cropped_at_random_and_the_other_is_seen_whole(halves):
    margin, size = 2, 16
    large = torch.from_numpy(halves.loaders["weights"].memory)
    whole = torch.from_numpy(halves.loaders["architecture"].memory)
    assert large.shape == (18, size + 2 * margin, size + 2 * margin, 3)
    crops = {
        (row, column, mirrored): (large.flip(2) if mirrored else large)[
            :, row : row + size, column : column + size
        ]
        for row in range(2 * margin + 1)
        for column in range(2 * margin + 1)
        for mirrored in (False, True)
    }
    seen = set()
    for epoch in range(4):
        for (images, labels), held_out in halves.epoch(epoch):
            assert images.shape == (4, 3, size, size)
            for image, label in zip(pixels(images), labels, strict=True):
                places = [
                    (place, index)
                    for place, crop in crops.items()
                    for index in (crop == image).flatten(1).all(dim=1).nonzero().flatten().tolist()
                ]
                assert places
                seen.add(places[0][0])
                assert halves.loaders["weights"].labels[places[0][1]] == label
            assert held_out is not None
            for image, label in zip(pixels(held_out[0]), held_out[1], strict=True):
                (index,) = (whole == image).flatten(1).all(dim=1).nonzero().flatten().tolist()
                assert halves.loaders["architecture"].labels[index] == label
    assert len(seen) > 20
    assert {mirrored for _, _, mirrored in seen} == {False, True}
    assert {row for row, _, _ in seen} == set(range(2 * margin + 1))


def test_batches_of_both_halves_are_drawn_apart(halves):
    same = [
        torch.equal(training[1], held_out[1])
        for epoch in range(3)
        for training, held_out in halves.epoch(epoch)
    ]
    assert sum(same) < len(same) / 2


def test_an_epoch_can_be_entered_in_the_middle(halves):
    whole, rest = list(halves.epoch(1)), list(halves.epoch(1, 3))
    assert (len(whole), len(rest)) == (halves.steps, 1) == (4, 1)
    for ours, theirs in zip(rest[0], whole[3], strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])
    assert list(halves.epoch(1, 4)) == []
    assert all(other is None for _, other in halves.epoch(0, held_out=False))


def test_from_memory_and_from_disk_the_same_is_seen(tiny_search, faces, halves):
    disk = HalvesLoader(tiny_search({"data.in_memory": False}), faces, CPU)
    indices = np.array([5, 0, 17])
    for half in ("weights", "architecture"):
        ours, theirs = disk.as_they_are(half, indices), halves.as_they_are(half, indices)
        assert ours is not None
        assert theirs is not None
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])
        assert ours[1].tolist() == halves.loaders[half].labels[indices].tolist()
    large = halves.loaders["weights"].memory
    assert large is not None
    middle = torch.from_numpy(large[indices][:, 2:18, 2:18])
    seen = halves.as_they_are("weights", indices)
    assert seen is not None
    assert torch.equal(pixels(seen[0]), middle)


@pytest.mark.parametrize("in_memory", [True, False])
def test_what_cannot_be_read_is_left_out(tiny_search, tmp_path, coarse_people, in_memory):
    people = coarse_people(tmp_path / "people", people=3, images=6)
    broken = sorted(people.rglob("*.png"))[:6]
    for path in broken:
        path.write_bytes(b"no image")
    config = tiny_search({"data.in_memory": in_memory, "data.train": [str(people)]})
    halves = HalvesLoader(config, FolderFaces(people), CPU)
    indices = np.arange(9)
    batch = halves.as_they_are("architecture", indices)
    assert batch is not None
    assert len(batch[0]) == len(batch[1]) == 6
    assert 0 not in batch[1]
    lost = np.flatnonzero(halves.loaders["architecture"].labels == 0)
    assert halves.as_they_are("architecture", lost) is None
    assert len(halves.unreadable) == (6 if in_memory else 3)
