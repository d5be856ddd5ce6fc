"""The rasteriser against a plain loop over pixels and triangles."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.synthetic.rasterise import HIDDEN, SUBPIXEL, Fragments, rasterise

SIZE = 16


def draw_scene(seed: int, images: int, vertices: int, triangles: int) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    reach = SIZE * SUBPIXEL
    return {
        "position": torch.from_numpy(
            rng.integers(-reach // 4, reach * 5 // 4, (images, 2, vertices), dtype=np.int32)
        ),
        "depth": torch.from_numpy(rng.random((images, vertices), dtype=np.float32)),
        "triangles": torch.from_numpy(rng.integers(0, vertices, (triangles, 3), dtype=np.int32)),
        "layer": torch.from_numpy(rng.integers(0, 2, triangles, dtype=np.int32)),
        "facing": torch.from_numpy(rng.choice([-1.0, 1.0], triangles).astype(np.float32)),
    }


def plain_winner(scene: dict[str, torch.Tensor], image: int, layer: int) -> np.ndarray:
    """The triangle seen at each pixel, -1 for none, by looking at all of them in whole numbers."""
    winner = np.full((SIZE, SIZE), -1)
    nearest = np.full((SIZE, SIZE), np.inf)
    for t, corners in enumerate(scene["triangles"].tolist()):
        if int(scene["layer"][t]) != layer:
            continue
        (ax, ay), (bx, by), (cx, cy) = (scene["position"][image, :, k].tolist() for k in corners)
        depths = [float(scene["depth"][image, k]) for k in corners]
        if min(depths) >= HIDDEN:
            continue
        # Anticlockwise on a screen whose y points down.
        area = (cx - ax) * (by - ay) - (bx - ax) * (cy - ay)
        if area * float(scene["facing"][t]) <= 0:
            continue
        middle = sum(d % HIDDEN for d in depths) / 3
        for row in range(SIZE):
            for column in range(SIZE):
                px, py = column * SUBPIXEL + SUBPIXEL // 2, row * SUBPIXEL + SUBPIXEL // 2
                edges = [
                    (x2 - px) * (y1 - py) - (x1 - px) * (y2 - py)
                    for (x1, y1), (x2, y2) in (
                        ((bx, by), (cx, cy)),
                        ((cx, cy), (ax, ay)),
                        ((ax, ay), (bx, by)),
                    )
                ]
                inside = all(e * np.sign(area) >= 0 for e in edges)
                if inside and middle < nearest[row, column]:
                    winner[row, column], nearest[row, column] = t, middle
    return winner


def seen_triangles(part: Fragments, triangles: torch.Tensor, images: int) -> np.ndarray:
    """The triangle of each fragment by its corners, (N, H, W)."""
    number = {tuple(corners): t for t, corners in reversed(list(enumerate(triangles.tolist())))}
    found = np.full(images * SIZE * SIZE, -1)
    found[part.pixel.numpy()] = [number[tuple(c)] for c in part.corners.T.tolist()]
    return found.reshape(images, SIZE, SIZE)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_equals_a_loop_over_pixels(seed: int) -> None:
    scene = draw_scene(seed, images=2, vertices=9, triangles=7)
    parts = rasterise(**scene, layers=2, size=SIZE)
    for layer, part in enumerate(parts):
        seen = seen_triangles(part, scene["triangles"], 2)
        for image in range(2):
            expected = plain_winner(scene, image, layer)
            np.testing.assert_array_equal(seen[image], expected)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_weights_give_back_the_pixel_centre(seed: int) -> None:
    scene = draw_scene(seed, images=3, vertices=12, triangles=9)
    place = scene["position"].float()
    for part in rasterise(**scene, layers=2, size=SIZE):
        if not len(part.pixel):
            continue
        x, y = part.interpolate(place.transpose(0, 1))
        column, row = part.pixel % SIZE, part.pixel // SIZE % SIZE
        torch.testing.assert_close(x, (column * SUBPIXEL + SUBPIXEL / 2).float(), atol=0.05, rtol=0)
        torch.testing.assert_close(y, (row * SUBPIXEL + SUBPIXEL / 2).float(), atol=0.05, rtol=0)
        torch.testing.assert_close(part.weights.sum(0), torch.ones(len(part.pixel)))
        np.testing.assert_array_equal(part.image, part.pixel // (SIZE * SIZE))


def square(depth: float, facing: float) -> dict[str, torch.Tensor]:
    """Two triangles that cover the image, anticlockwise."""
    end = SIZE * SUBPIXEL
    corners = torch.tensor([[0, 0, end, end], [0, end, 0, end]], dtype=torch.int32)
    return {
        "position": corners[None],
        "depth": torch.full((1, 4), depth),
        "triangles": torch.tensor([[0, 1, 2], [2, 1, 3]], dtype=torch.int32),
        "layer": torch.zeros(2, dtype=torch.int32),
        "facing": torch.full((2,), facing),
    }


def test_two_triangles_leave_no_gap_on_their_common_edge() -> None:
    (part,) = rasterise(**square(0.5, 1.0), layers=1, size=SIZE)
    np.testing.assert_array_equal(part.pixel, np.arange(SIZE * SIZE))
    torch.testing.assert_close(part.depth, torch.full((SIZE * SIZE,), 0.5), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("depth", "facing"), [(0.5, -1.0), (0.5 + HIDDEN, 1.0)])
def test_the_wrong_side_and_hidden_vertices_are_left_out(depth: float, facing: float) -> None:
    (part,) = rasterise(**square(depth, facing), layers=1, size=SIZE)
    assert len(part.pixel) == 0
