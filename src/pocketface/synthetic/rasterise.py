"""Triangles to pixels with a depth buffer, in plain tensor operations.

Every step is elementwise arithmetic that IEEE 754 rounds in one way (+, -, *, /, comparisons), a
gather, or an integer minimum, so the result does not depend on the batch, the number of threads or
the device. A triangle is expanded into the pixels of its bounding box; each candidate inside
it offers the key `depth << 14 | triangle` to its pixel, and the smallest key wins.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SUBPIXEL = 16
"""Vertices lie on a grid of 1/16 pixel, which makes the edge functions exact in float32."""

_INDEX_BITS = 14
_DEPTH_STEPS = (1 << 17) - 1
_EMPTY = torch.iinfo(torch.int32).max


@dataclass(frozen=True)
class Fragments:
    """The visible points of one batch, sorted by image, layer, row, column.

    `pixel` int64 (P,): position in a flat (N, L, H, W) buffer; `corners` int64 (3, P): places in the
    flat (N * V) vertex table; `weights` float32 (3, P): barycentric coordinates, which sum to 1;
    `depth` float32 (P,).
    """

    pixel: Tensor
    corners: Tensor
    weights: Tensor
    depth: Tensor

    def interpolate(self, attributes: Tensor) -> Tensor:
        """Blend vertex `attributes` float32 (C, N, V) to the fragments: float32 (C, P)."""
        table = attributes.flatten(1)
        a, b, c = (table.index_select(1, corner) for corner in self.corners)
        return a * self.weights[0] + b * self.weights[1] + c * self.weights[2]


def rasterise(
    position: Tensor,
    depth: Tensor,
    triangles: Tensor,
    layer: Tensor,
    facing: Tensor,
    layers: int,
    size: int,
) -> Fragments:
    """Find what each pixel of each layer sees.

    `position` int32 (N, 2, V): x to the right and y down in 1/16 pixel; `depth` float32 (N, V) in
    [0, 1], smaller is nearer; `triangles` int64 (T, 3) with T <= 16384; `layer` int64 (T,): the
    layer that a triangle draws to, each with a depth buffer of its own; `facing` int64 (T,): 1 keeps
    triangles that are anticlockwise on the screen, -1 the others; `size`: H = W in pixels.
    """
    count, vertices = depth.shape
    xy = position.to(torch.float32)
    x, y = xy.unbind(1)
    corner = triangles.t().contiguous()
    x0, x1, x2 = (x.index_select(1, c) for c in corner)
    y0, y1, y2 = (y.index_select(1, c) for c in corner)
    # y points down, so an anticlockwise triangle has a negative area here.
    area = (x2 - x0) * (y1 - y0) - (x1 - x0) * (y2 - y0)
    left, right = _pixel_range(torch.minimum(torch.minimum(x0, x1), x2), torch.maximum(torch.maximum(x0, x1), x2), size)
    top, bottom = _pixel_range(torch.minimum(torch.minimum(y0, y1), y2), torch.maximum(torch.maximum(y0, y1), y2), size)
    width, height = right - left + 1, bottom - top + 1
    keep = (area * facing > 0) & (width > 0) & (height > 0)
    chosen = keep.view(-1).nonzero().squeeze(1)

    def pick(values: Tensor) -> Tensor:
        return values.reshape(-1).index_select(0, chosen)

    x0, x1, x2, y0, y1, y2, area, left, top = map(pick, (x0, x1, x2, y0, y1, y2, area, left, top))
    width, height = pick(width).to(torch.int64), pick(height).to(torch.int64)
    triangle = chosen % len(triangles)
    image = torch.div(chosen, len(triangles), rounding_mode="floor")
    far = depth.reshape(-1).index_select(0, (corner.index_select(1, triangle) + image * vertices).view(-1))
    far = far.view(3, -1)
    # Triangles are a few millimetres wide: one depth for each is enough to tell what hides what.
    level = ((far[0] + far[1] + far[2]) * (_DEPTH_STEPS / 3)).clamp(0, _DEPTH_STEPS).to(torch.int64)
    sign = torch.sign(area)
    px, py = left * SUBPIXEL + SUBPIXEL / 2, top * SUBPIXEL + SUBPIXEL / 2
    e0, e1, _ = _edges(px, py, (x0, x1, x2), (y0, y1, y2), sign)
    floats = torch.stack(
        [
            *(e0, (y2 - y1) * sign * SUBPIXEL, (x1 - x2) * sign * SUBPIXEL),
            *(e1, (y0 - y2) * sign * SUBPIXEL, (x2 - x0) * sign * SUBPIXEL),
            torch.abs(area),
        ]
    )
    cells = width * height
    plane = image * layers + layer.index_select(0, triangle)
    start = plane * (size * size) + (top * size + left).to(torch.int64)
    integers = torch.stack(
        [torch.cumsum(cells, 0) - cells, width, start, (level << _INDEX_BITS) | triangle]
    )
    owner = torch.repeat_interleave(cells)
    e0, e0_right, e0_down, e1, e1_right, e1_down, total = floats.index_select(1, owner)
    first, width, start, key = integers.index_select(1, owner)
    offset = torch.arange(len(owner), device=owner.device) - first
    down = torch.div(offset, width, rounding_mode="floor")
    across = offset - down * width
    i, j = across.to(torch.float32), down.to(torch.float32)
    e0 = e0 + i * e0_right + j * e0_down
    e1 = e1 + i * e1_right + j * e1_down
    inside = torch.minimum(torch.minimum(e0, e1), total - e0 - e1) >= 0
    offer = torch.where(inside, key, _EMPTY).to(torch.int32)
    buffer = torch.full((count * layers * size * size,), _EMPTY, dtype=torch.int32, device=key.device)
    buffer.scatter_reduce_(0, start + down * size + across, offer, "amin")
    return _fragments(buffer, x, y, corner, layers, size)


def _pixel_range(low: Tensor, high: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """First and last pixel whose centre lies in [low, high], as float32, clipped to the image."""
    first = torch.ceil(low * (1 / SUBPIXEL) - 0.5).clamp(min=0)
    last = torch.floor(high * (1 / SUBPIXEL) - 0.5).clamp(max=size - 1)
    return first, last


def _edges(px: Tensor, py: Tensor, x: tuple[Tensor, ...], y: tuple[Tensor, ...], sign: Tensor) -> list[Tensor]:
    """Twice the signed area opposite each corner at a point: positive inside the triangle."""
    edges = []
    for a, b in ((1, 2), (2, 0), (0, 1)):
        edges.append(((x[b] - px) * (y[a] - py) - (x[a] - px) * (y[b] - py)) * sign)
    return edges


def _fragments(buffer: Tensor, x: Tensor, y: Tensor, corner: Tensor, layers: int, size: int) -> Fragments:
    """Read the winners out of the key buffer and weigh their corners."""
    pixel = (buffer != _EMPTY).nonzero().squeeze(1)
    key = buffer.index_select(0, pixel)
    triangle = key.to(torch.int64) & ((1 << _INDEX_BITS) - 1)
    depth = (key >> _INDEX_BITS).to(torch.float32) * (1 / _DEPTH_STEPS)
    in_layer = pixel % (size * size)
    image = torch.div(pixel, layers * size * size, rounding_mode="floor")
    row = torch.div(in_layer, size, rounding_mode="floor")
    px = (in_layer - row * size).to(torch.float32) * SUBPIXEL + SUBPIXEL / 2
    py = row.to(torch.float32) * SUBPIXEL + SUBPIXEL / 2
    corners = corner.index_select(1, triangle) + image * x.shape[1]
    cx = x.reshape(-1).index_select(0, corners.view(-1)).view(3, -1)
    cy = y.reshape(-1).index_select(0, corners.view(-1)).view(3, -1)
    edge = _edges(px, py, tuple(cx), tuple(cy), torch.ones_like(px))
    total = edge[0] + edge[1] + edge[2]
    return Fragments(pixel, corners, torch.stack([e / total for e in edge]), depth)
