"""The rasteriser against a plain loop over pixels and triangles."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.synthetic.rasterise import HIDDEN, SUBPIXEL, rasterise

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
    }


def plain_depth(scene: dict[str, torch.Tensor], image: int, layer: int) -> np.ndarray:
    """The nearest depth at each pixel, infinite for none, by whole numbers and a plain loop."""
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
        if area <= 0:
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
                inside = all(e >= 0 for e in edges)
                if inside:
                    nearest[row, column] = min(nearest[row, column], middle)
    return nearest


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_equals_a_loop_over_pixels(seed: int) -> None:
    scene = draw_scene(seed, images=2, vertices=9, triangles=7)
    parts = rasterise(**scene, layers=2, size=SIZE)
    for layer, part in enumerate(parts):
        seen = np.full((2, SIZE, SIZE), np.inf)
        seen.reshape(-1)[part.pixel.numpy()] = part.depth.numpy()
        for image in range(2):
            expected = plain_depth(scene, image, layer)
            np.testing.assert_allclose(seen[image], expected, atol=2e-5)


@settings(max_examples=60, deadline=None)
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


def square(depth: float) -> dict[str, torch.Tensor]:
    """Two triangles that cover the image, anticlockwise."""
    end = SIZE * SUBPIXEL
    corners = torch.tensor([[0, 0, end, end], [0, end, 0, end]], dtype=torch.int32)
    return {
        "position": corners[None],
        "depth": torch.full((1, 4), depth),
        "triangles": torch.tensor([[0, 1, 2], [2, 1, 3]], dtype=torch.int32),
        "layer": torch.zeros(2, dtype=torch.int32),
    }


def test_two_triangles_leave_no_gap_on_their_common_edge() -> None:
    (part,) = rasterise(**square(0.5), layers=1, size=SIZE)
    np.testing.assert_array_equal(part.pixel, np.arange(SIZE * SIZE))
    torch.testing.assert_close(part.depth, torch.full((SIZE * SIZE,), 0.5), atol=1e-4, rtol=0)


def test_the_wrong_side_and_hidden_vertices_are_left_out() -> None:
    turned = square(0.5)
    turned["triangles"] = turned["triangles"].flip(1)
    for scene in (turned, square(0.5 + HIDDEN)):
        (part,) = rasterise(**scene, layers=1, size=SIZE)
        assert len(part.pixel) == 0
