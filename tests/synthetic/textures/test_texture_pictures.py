"""Images of textures: the same ones again, each unlike the last, and a class that can be learnt."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pocketface.errors import DataError
from pocketface.synthetic.textures import draw_texture, picture
from pocketface.synthetic.textures.patterns import KINDS
from pocketface.synthetic.textures.texture import stream


def images_of(classes: int, each: int, size: int, seed: int = 0) -> np.ndarray:
    """Shape (classes, each, size, size, 3)."""
    rows = []
    for number in range(classes):
        texture = draw_texture(seed, number)
        rows.append([picture(texture, stream(seed, "image", number, k), size) for k in range(each)])
    return np.array(rows)


def test_an_image_depends_on_seed_class_and_number_alone() -> None:
    first, again = images_of(3, 2, 24), images_of(3, 2, 24)
    assert first.dtype == np.uint8
    assert first.shape == (3, 2, 24, 24, 3)
    assert np.array_equal(first, again)
    # The whole set need not be drawn for one image of it.
    assert np.array_equal(picture(draw_texture(0, 2), stream(0, "image", 2, 1), 24), first[2, 1])
    flat = first.reshape(6, -1)
    assert all(not np.array_equal(flat[a], flat[b]) for a in range(6) for b in range(a))
    assert not np.array_equal(images_of(1, 1, 24, seed=1)[0, 0], first[0, 0])


def test_kinds_take_turns_and_so_do_patterns_and_figures() -> None:
    textures = [draw_texture(0, number) for number in range(4 * len(KINDS))]
    kinds = [texture.pattern.kind for texture in textures]
    assert kinds == [*KINDS] * 4
    figures = [texture.outline is not None for texture in textures]
    assert figures == ([False] * len(KINDS) + [True] * len(KINDS)) * 2


def test_images_are_neither_black_nor_white_nor_flat() -> None:
    pixels = images_of(28, 3, 24).reshape(84, -1).astype(float)
    assert 60 < pixels.mean() < 200
    assert (pixels.std(axis=1) > 8).all()
    assert ((pixels == 255).mean(axis=1) < 0.6).all()


@pytest.mark.parametrize(("seed", "texture"), [(-1, 0), (2**32, 0), (0, -1)])
def test_numbers_out_of_range_are_refused(seed: int, texture: int) -> None:
    with pytest.raises(DataError, match=r"must lie in \[0, 2\^32\)"):
        draw_texture(seed, texture)


def nearest_accuracy(known: np.ndarray, asked: np.ndarray) -> float:
    """How often the nearest known image, by its numbers, is of the class asked for."""
    classes, each = known.shape[:2]
    rows = known.reshape(classes * each, -1)
    hits = 0
    for number in range(classes):
        for image in asked[number].reshape(asked.shape[1], -1):
            nearest = int(((rows - image) ** 2).sum(axis=1).argmin())
            hits += nearest // each == number
    return hits / (classes * asked.shape[1])


@pytest.mark.slow
def test_pixels_do_not_tell_classes_apart_and_a_small_network_does() -> None:
    classes, each, held = 28, 40, 8
    images = images_of(classes, each + held, 32).astype(np.float32) / 127.5 - 1
    known, asked = images[:, :each], images[:, each:]
    by_pixels = nearest_accuracy(known, asked)
    by_colour = nearest_accuracy(known.mean(axis=(2, 3)), asked.mean(axis=(2, 3)))
    learnt = learnt_accuracy(known, asked)
    print(f"pixels {by_pixels:.3f}, mean colour {by_colour:.3f}, network {learnt:.3f}")
    assert by_pixels < 0.2
    assert by_colour < 0.3
    assert learnt > 2.5 * max(by_pixels, by_colour)


def learnt_accuracy(known: np.ndarray, asked: np.ndarray) -> float:
    classes = len(known)
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(256, classes)),
    )
    for parameter in network.parameters():
        if parameter.dim() > 1:
            nn.init.kaiming_normal_(parameter, generator=generator)
    images = torch.from_numpy(known).flatten(0, 1).permute(0, 3, 1, 2).contiguous()
    labels = torch.arange(classes).repeat_interleave(known.shape[1])
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(12):
        for rows in torch.randperm(len(labels), generator=generator).split(32):
            optimiser.zero_grad()
            F.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimiser.step()
    network.eval()
    with torch.no_grad():
        held = torch.from_numpy(asked).flatten(0, 1).permute(0, 3, 1, 2).contiguous()
        answers = network(held).argmax(1)
    return float(
        (answers == torch.arange(classes).repeat_interleave(asked.shape[1])).float().mean()
    )
