"""Triangles to pixels with a depth buffer, in plain tensor operations.

Every step is elementwise arithmetic that IEEE 754 rounds in one way (+, -, *, /, comparisons), a
gather, or an integer minimum, so the result does not depend on the batch, the number of threads or
the device. A triangle is cut into lines of pixels and those into pixels; each offers the key
`depth << 14 | triangle` to its pixel, and the smallest key wins.
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
_FAR_OFF = 1e8  # pixels; farther than any edge crosses a line, and finite


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

    def subset(self, chosen: Tensor) -> "Fragments":
        """The fragments number `chosen` int64 (p,)."""
        return Fragments(
            self.pixel.index_select(0, chosen),
            self.image.index_select(0, chosen),
            torch.stack([corner.index_select(0, chosen) for corner in self.corners]),
            self.weights.index_select(1, chosen),
            self.depth.index_select(0, chosen),
        )


def rasterise(
    position: Tensor,
    depth: Tensor,
    triangles: Tensor,
    layer: Tensor,
    layers: int,
    size: int,
) -> list[Fragments]:
    """Find what each pixel of each layer sees.

    `position` int32 (N, 2, V): x to the right and y down in 1/16 pixel; `depth` float32 (N, V),
    from 0, the nearest, to 1; a triangle whose three corners have `HIDDEN` added is left out;
    `triangles` int32 (T, 3) with T <= 16384, seen where they are anticlockwise on the screen;
    `layer` int32 (T,): the layer that a triangle draws to, each with a depth buffer of its own;
    `size`: H = W in pixels. One entry for each layer.
    """
    count, vertices = depth.shape
    x, y = position.to(torch.float32).unbind(1)
    corner = triangles.t().contiguous()
    x0, x1, x2 = (x.index_select(1, c) for c in corner)
    y0, y1, y2 = (y.index_select(1, c) for c in corner)
    # y points down, so an anticlockwise triangle has a negative area here.
    area = (x2 - x0) * (y1 - y0) - (x1 - x0) * (y2 - y0)
    chosen = (area > 0).view(-1).nonzero().squeeze(1)
    image = torch.div(chosen, len(triangles), rounding_mode="floor")
    triangle = (chosen - image * len(triangles)).to(torch.int32)
    image = image.to(torch.int32)
    x0, x1, x2, y0, y1, y2, area = (
        v.view(-1).index_select(0, chosen) for v in (x0, x1, x2, y0, y1, y2, area)
    )
    z0, z1, z2 = (
        depth.view(-1).index_select(0, c.index_select(0, triangle) + image * vertices)
        for c in corner
    )
    left, right = _pixel_range(x0, x1, x2, size)
    top, bottom = _pixel_range(y0, y1, y2, size)
    shown = (torch.minimum(torch.minimum(z0, z1), z2) < HIDDEN) & (right >= left)
    z0, z1, z2 = (z - HIDDEN * (z >= HIDDEN) for z in (z0, z1, z2))
    # Triangles are a few millimetres wide: one depth for each is enough to tell what hides what.
    level = ((z0 + z1 + z2) * (_DEPTH_STEPS / 3)).clamp(0, _DEPTH_STEPS).to(torch.int32)
    plane = layer.index_select(0, triangle) * count + image
    lines = ((bottom - top + 1).clamp_(min=0) * shown).to(torch.int64)
    # From triangles to their lines of pixels.
    e0, e1, _ = _edges(_centre(torch.zeros_like(top)), _centre(top), (x0, x1, x2), (y0, y1, y2))
    floats = torch.stack(
        [
            *(e0, (y2 - y1) * SUBPIXEL, (x1 - x2) * SUBPIXEL),
            *(e1, (y0 - y2) * SUBPIXEL, (x2 - x0) * SUBPIXEL),
            area,
        ]
    )
    owner, number = _expand(lines)
    a0, right0, down0, a1, right1, down1, total = floats.index_select(1, owner)
    number = number.to(torch.float32)
    a0 += number * down0
    a1 += number * down1
    values = torch.stack([a0, a1, total - a0 - a1])
    steps = torch.stack([right0, right1, -(right0 + right1)])
    low, high = _span(values, steps, size)
    key = ((level << _INDEX_BITS) | triangle).index_select(0, owner)
    start = (plane * (size * size) + top.to(torch.int32) * size).index_select(0, owner)
    start += (number * size + low).to(torch.int32)
    # From lines to pixels.
    owner, number = _expand((high - low + 1).clamp_(min=0).to(torch.int64))
    target = start.index_select(0, owner) + number
    buffer = torch.full(
        (count * layers * size * size,), _EMPTY, dtype=torch.int32, device=key.device
    )
    buffer.scatter_reduce_(0, target.to(torch.int64), key.index_select(0, owner), "amin")
    return [_fragments(keys, x, y, corner, size) for keys in buffer.view(layers, -1)]


def _expand(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Repeat entry i `counts[i]` times: the entry of each copy, and its number, int32 each."""
    owner = torch.repeat_interleave(counts).to(torch.int32)
    first = (torch.cumsum(counts, 0) - counts).to(torch.int32)
    number = torch.arange(len(owner), device=owner.device, dtype=torch.int32)
    return owner, number.sub_(first.index_select(0, owner))


def _span(values: Tensor, steps: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """First and last pixel of each line where value + pixel * step >= 0 for three of each, (3, R).

    A step of 0 divides to infinity, which leaves all pixels or none; 0 / 0 leaves all.
    """
    crossing = values / -(steps + 0.0)  # the sum turns -0 into 0
    crossing.nan_to_num_(nan=-_FAR_OFF, posinf=_FAR_OFF, neginf=-_FAR_OFF)
    # An edge that rises bounds the line on the left, another on the right: the other bound is
    # pushed out of the picture by arithmetic, which is ten times as fast here as a choice.
    push = torch.sign(steps).add_(1).clamp_(max=1).mul_(10 * _FAR_OFF)
    high = torch.floor(crossing).add_(push)
    low = torch.ceil(crossing).add_(push.sub_(10 * _FAR_OFF))
    return (
        torch.maximum(torch.maximum(low[0], low[1]), low[2]).clamp_(0, size),
        torch.minimum(torch.minimum(high[0], high[1]), high[2]).clamp_(-1, size - 1),
    )


def _pixel_range(a: Tensor, b: Tensor, c: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """First and last pixel of the image whose centre lies between three points, as float32."""
    first = torch.ceil(torch.minimum(torch.minimum(a, b), c) * (1 / SUBPIXEL) - 0.5)
    last = torch.floor(torch.maximum(torch.maximum(a, b), c) * (1 / SUBPIXEL) - 0.5)
    return first.clamp_(min=0), last.clamp_(max=size - 1)


def _centre(pixel: Tensor) -> Tensor:
    """The middle of a pixel, in 1/16 pixel."""
    return pixel * SUBPIXEL + SUBPIXEL / 2


def _edges(
    px: Tensor, py: Tensor, x: tuple[Tensor, ...], y: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Twice the area opposite each corner at a point: positive inside the triangle."""
    (dx0, dx1, dx2), (dy0, dy1, dy2) = [a - px for a in x], [a - py for a in y]
    return dx2 * dy1 - dx1 * dy2, dx0 * dy2 - dx2 * dy0, dx1 * dy0 - dx0 * dy1


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
    edge = torch.stack(_edges(px, py, tuple(cx), tuple(cy)))
    weights = edge / (edge[0] + edge[1] + edge[2])
    return Fragments(pixel, image, corners, weights, depth)
