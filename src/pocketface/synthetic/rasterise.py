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

HIDDEN = 2.0
"""Added to the depth of vertices that need not be drawn."""

_INDEX_BITS = 14
_DEPTH_STEPS = (1 << 17) - 1
_EMPTY = torch.iinfo(torch.int32).max


@dataclass(frozen=True)
class Fragments:
    """The visible points of one layer of a batch, sorted by image, row, column.

    `pixel` int64 (P,): position in a flat (N, H, W) buffer; `image` int32 (P,): which image that is
    in; `corners` int32 (3, P): vertices of the triangle seen there; `weights` float32 (3, P): its
    barycentric coordinates, which sum to 1; `depth` float32 (P,).
    """

    pixel: Tensor
    image: Tensor
    corners: Tensor
    weights: Tensor
    depth: Tensor

    def interpolate(self, attributes: Tensor, first: int = 0) -> Tensor:
        """Blend `attributes` float32 (C, N, v) to the fragments, float32 (C, P).

        They belong to the vertices from number `first` on.
        """
        table = attributes.flatten(1)
        base = self.image * attributes.shape[2] - first
        a, b, c = (table.index_select(1, corner + base) for corner in self.corners)
        # No fused multiply-add: devices round it differently.
        a.mul_(self.weights[0])
        a.add_(b.mul_(self.weights[1]))
        return a.add_(c.mul_(self.weights[2]))


def rasterise(
    position: Tensor,
    depth: Tensor,
    triangles: Tensor,
    layer: Tensor,
    facing: Tensor,
    layers: int,
    size: int,
) -> list[Fragments]:
    """Find what each pixel of each layer sees.

    `position` int32 (N, 2, V): x to the right and y down in 1/16 pixel; `depth` float32 (N, V),
    from 0, the nearest, to 1; a triangle whose three corners have `HIDDEN` added is left out;
    `triangles` int32 (T, 3) with T <= 16384; `layer` int32 (T,): the layer that a triangle draws
    to, each with a depth buffer of its own; `facing` float32 (T,): 1 keeps triangles that are
    anticlockwise on the screen, -1 the others; `size`: H = W in pixels. One entry for each layer.
    """
    count, vertices = depth.shape
    x, y = position.to(torch.float32).unbind(1)
    corner = triangles.t().contiguous()
    x0, x1, x2 = (x.index_select(1, c) for c in corner)
    y0, y1, y2 = (y.index_select(1, c) for c in corner)
    # y points down, so an anticlockwise triangle has a negative area here.
    area = (x2 - x0) * (y1 - y0) - (x1 - x0) * (y2 - y0)
    left, right = _pixel_range(
        torch.minimum(torch.minimum(x0, x1), x2), torch.maximum(torch.maximum(x0, x1), x2), size
    )
    top, bottom = _pixel_range(
        torch.minimum(torch.minimum(y0, y1), y2), torch.maximum(torch.maximum(y0, y1), y2), size
    )
    width, height = right - left + 1, bottom - top + 1
    keep = (area * facing > 0) & (torch.minimum(width, height) > 0)
    chosen = keep.view(-1).nonzero().squeeze(1)
    image = torch.div(chosen, len(triangles), rounding_mode="floor")
    triangle = (chosen - image * len(triangles)).to(torch.int32)
    image = image.to(torch.int32)
    z0, z1, z2 = (
        depth.view(-1).index_select(0, c.index_select(0, triangle) + image * vertices)
        for c in corner
    )
    shown = torch.minimum(torch.minimum(z0, z1), z2) < HIDDEN
    z0, z1, z2 = (z - HIDDEN * (z >= HIDDEN) for z in (z0, z1, z2))
    # Triangles are a few millimetres wide: one depth for each is enough to tell what hides what.
    level = ((z0 + z1 + z2) * (_DEPTH_STEPS / 3)).clamp(0, _DEPTH_STEPS).to(torch.int32)

    def pick(values: Tensor) -> Tensor:
        return values.view(-1).index_select(0, chosen)

    x0, x1, x2, y0, y1, y2, area, left, top, width, height = map(
        pick, (x0, x1, x2, y0, y1, y2, area, left, top, width, height)
    )
    sign = torch.sign(area)
    e0, e1, _ = _edges(_centre(left), _centre(top), (x0, x1, x2), (y0, y1, y2), sign)
    sign = sign * SUBPIXEL
    floats = torch.stack(
        [
            *(e0, (y2 - y1) * sign, (x1 - x2) * sign),
            *(e1, (y0 - y2) * sign, (x2 - x0) * sign),
            *(torch.abs(area), width, 1 / width),
        ]
    )
    cells = width * height * shown
    plane = layer.index_select(0, triangle) * count + image
    start = plane * (size * size) + (top * size + left).to(torch.int32)
    cells = cells.to(torch.int64)
    first = (torch.cumsum(cells, 0) - cells).to(torch.int32)
    key = (level << _INDEX_BITS) | triangle
    owner = torch.repeat_interleave(cells).to(torch.int32)
    e0, e0_right, e0_down, e1, e1_right, e1_down, total, width, inverse = floats.index_select(
        1, owner
    )
    first, start, key = (v.index_select(0, owner) for v in (first, start, key))
    offset = (
        torch.arange(len(owner), device=owner.device, dtype=torch.int32)
        .sub_(first)
        .to(torch.float32)
    )
    down = ((offset + 0.5) * inverse).floor_()
    across = offset - down * width
    e0 += across * e0_right
    e0 += down * e0_down
    e1 += across * e1_right
    e1 += down * e1_down
    total -= e0
    total -= e1
    inside = torch.minimum(torch.minimum(e0, e1), total) >= 0
    offer = key.masked_fill_(~inside, _EMPTY)
    target = start.add_((down * size + across).to(torch.int32)).to(torch.int64)
    buffer = torch.full(
        (count * layers * size * size,), _EMPTY, dtype=torch.int32, device=key.device
    )
    buffer.scatter_reduce_(0, target, offer, "amin")
    return [_fragments(keys, x, y, corner, size) for keys in buffer.view(layers, -1)]


def _pixel_range(low: Tensor, high: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """First and last pixel whose centre lies in [low, high], as float32, clipped to the image."""
    first = torch.ceil(low * (1 / SUBPIXEL) - 0.5).clamp_(min=0)
    last = torch.floor(high * (1 / SUBPIXEL) - 0.5).clamp_(max=size - 1)
    return first, last


def _centre(pixel: Tensor) -> Tensor:
    """The middle of a pixel, in 1/16 pixel."""
    return pixel * SUBPIXEL + SUBPIXEL / 2


def _edges(
    px: Tensor, py: Tensor, x: tuple[Tensor, ...], y: tuple[Tensor, ...], sign: Tensor | float
) -> list[Tensor]:
    """Twice the signed area opposite each corner at a point: positive inside the triangle."""
    dx, dy = [a - px for a in x], [a - py for a in y]
    return [(dx[b] * dy[a] - dx[a] * dy[b]) * sign for a, b in ((1, 2), (2, 0), (0, 1))]


def _fragments(buffer: Tensor, x: Tensor, y: Tensor, corner: Tensor, size: int) -> Fragments:
    """Read the winners out of one layer's key buffer and weigh their corners."""
    pixel = (buffer != _EMPTY).nonzero().squeeze(1)
    key = buffer.index_select(0, pixel)
    triangle = key & ((1 << _INDEX_BITS) - 1)
    depth = (key >> _INDEX_BITS).to(torch.float32) * (1 / _DEPTH_STEPS)
    place = pixel.to(torch.int32)
    image = torch.div(place, size * size, rounding_mode="floor")
    place = place - image * (size * size)
    axis = _centre(torch.arange(size, device=x.device, dtype=torch.float32))
    px = axis.repeat(size).index_select(0, place)
    py = axis.repeat_interleave(size).index_select(0, place)
    corners = torch.stack([c.index_select(0, triangle) for c in corner])
    flat = (corners + image * x.shape[1]).view(-1)
    cx = x.reshape(-1).index_select(0, flat).view(3, -1)
    cy = y.reshape(-1).index_select(0, flat).view(3, -1)
    edge = torch.stack(_edges(px, py, tuple(cx), tuple(cy), 1.0))
    weights = edge / (edge[0] + edge[1] + edge[2])
    return Fragments(pixel, image, corners, weights, depth)
