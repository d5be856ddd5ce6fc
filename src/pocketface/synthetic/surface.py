"""Normals of grid surfaces, and how much of the light around it each place of the head sees."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketface.synthetic.anatomy import average_face
from pocketface.synthetic.head import template_head
from pocketface.synthetic.rasterise import SUBPIXEL, rasterise

Floats = NDArray[np.float64]

_DIRECTIONS = 64
_MAP = 128
_MAP_SCALE = 0.4  # pixels per mm in the depth maps below
_DEPTH_RANGE = 800.0
_BIAS = 5.0


def grid_normals(points: Tensor, *, wrap: bool, up: Tensor, down: Tensor) -> Tensor:
    """Unit normals of a grid of points (N, 3, R, C), float32.

    They point outwards where rows run down and columns to the right. `up` and `down` int64 (R,)
    name the rows whose difference is the slope at each row; `wrap` joins the last column to the
    first.
    """
    slope = points.index_select(2, up) - points.index_select(2, down)
    first, last = points[..., :1], points[..., -1:]
    padded = torch.cat([last if wrap else first, points, first if wrap else last], dim=3)
    ax, ay, az = (padded[..., 2:] - padded[..., :-2]).unbind(1)
    bx, by, bz = slope.unbind(1)
    nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    length = torch.sqrt(nx * nx + ny * ny + nz * nz) + 1e-6
    return torch.stack([nx / length, ny / length, nz / length], dim=1)


def head_normals(points: Tensor) -> Tensor:
    """Unit normals (N, 3, V) of heads (N, 3, V) on the template's triangles."""
    head = template_head()
    count, rows, columns = len(points), head.rows, head.columns
    skull = rows * columns
    up, down = (torch.as_tensor(v, device=points.device) for v in _skull_rows())
    grid = points[..., :skull].reshape(count, 3, rows, columns)
    normals = [grid_normals(grid, wrap=True, up=up, down=down)]
    ear = (points.shape[2] - skull) // 2
    ear_rows = len(np.unique(head.ear[skull : skull + ear, 2]))
    index = torch.arange(ear_rows, device=points.device)
    # The ear's first and last rows are points: they take their neighbours' normals.
    middle = index.clamp(1, ear_rows - 2)
    for side, start in ((1.0, skull), (-1.0, skull + ear)):
        sheet = points[..., start : start + ear].reshape(count, 3, ear_rows, -1)
        normal = grid_normals(
            sheet.index_select(2, middle),
            wrap=False,
            up=(index - 1).clamp(min=0),
            down=(index + 1).clamp(max=ear_rows - 1),
        )
        normals.append(normal * side)
    return torch.cat([n.reshape(count, 3, -1) for n in normals], dim=2)


@dataclass(frozen=True)
class LightField:
    """What each vertex of the average head sees.

    `directions` float64 (D, 3): unit vectors over the sphere, in the head's axes; `visible` float64
    (D, V) in [0, 1]: whether light from there arrives; `open` float64 (V,): the cosine-weighted
    share.
    """

    directions: Floats
    visible: Floats
    open: Floats


@cache
def light_field() -> LightField:
    """Shadow the average head from 64 directions by depth maps, once per process.

    Shadows of one person's nose differ a little from the average one's; light is soft enough to
    hide it.
    """
    head = template_head()
    shape = average_face()
    directions = _sphere(_DIRECTIONS)
    frames = np.stack([_frame(d) for d in directions])
    seen = np.einsum("dij,vj->dvi", frames, shape)
    pixel = seen[..., :2] * [_MAP_SCALE, -_MAP_SCALE] + _MAP / 2
    depth = (_DEPTH_RANGE / 2 - seen[..., 2]) / _DEPTH_RANGE
    triangles = torch.as_tensor(head.triangles).int()
    (fragments,) = rasterise(
        torch.as_tensor(np.round(pixel * SUBPIXEL).astype(np.int32).transpose(0, 2, 1)),
        torch.as_tensor(depth.astype(np.float32)),
        triangles,
        torch.zeros(len(triangles), dtype=torch.int32),
        1,
        _MAP,
    )
    nearest = np.full((_DIRECTIONS, _MAP, _MAP), np.inf)
    nearest.reshape(-1)[fragments.pixel.numpy()] = fragments.depth.numpy()
    column = np.clip(pixel[..., 0].astype(int), 0, _MAP - 1)
    row = np.clip(pixel[..., 1].astype(int), 0, _MAP - 1)
    each = np.arange(_DIRECTIONS)[:, None]
    lit = (depth - nearest[each, row, column]) * _DEPTH_RANGE < _BIAS
    visible = _smooth_over_skull(lit.astype(np.float64), head.rows, head.columns)
    visible = np.round(visible * 256) / 256
    normal = head_normals(torch.as_tensor(shape.T.copy()[None]))[0].numpy()
    cosine = np.maximum(directions @ normal, 0)
    share = (cosine * visible).sum(axis=0) / np.maximum(cosine.sum(axis=0), 1e-9)
    return LightField(directions, visible, share)


def shadow(towards: Floats, device: torch.device) -> Tensor:
    """Visibility of lights from `towards` float64 (N, L, 3) in the head's axes: (N, L, V)."""
    field = light_field()
    near = np.maximum(towards @ field.directions.T - 0.75, 0.0) ** 2
    weight = near / np.maximum(near.sum(axis=-1, keepdims=True), 1e-9)
    rounded = torch.as_tensor(np.round(weight * 4096) / 4096, device=device)
    visible = torch.as_tensor(field.visible, device=device)
    return (rounded.reshape(-1, rounded.shape[-1]) @ visible).view(*rounded.shape[:2], -1).float()


def _skull_rows() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The row above and below each row of the skull, one-sided at the lips and the ends."""
    head = template_head()
    count = head.rows
    up = np.maximum(np.arange(count) - 1, 0)
    down = np.minimum(np.arange(count) + 1, count - 1)
    inside = np.flatnonzero(head.mouth.reshape(-1)[: count * head.columns : head.columns] > 0)
    first, last = inside[0] - 1, inside[-1] + 1
    down[first], up[last] = first, last
    up[inside], down[inside] = first - 1, last + 1
    return up, down


def _smooth_over_skull(values: Floats, rows: int, columns: int) -> Floats:
    """Average each vertex of the skull with its neighbours, float64 (D, V)."""
    skull = rows * columns
    grid = values[:, :skull].reshape(-1, rows, columns)
    padded = np.concatenate([grid[:, :1], grid, grid[:, -1:]], axis=1)
    grid = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    grid = (np.roll(grid, 1, 2) + 2 * grid + np.roll(grid, -1, 2)) / 4
    return np.concatenate([grid.reshape(len(values), -1), values[:, skull:]], axis=1)


def _sphere(count: int) -> Floats:
    """Points spread evenly over the sphere along a golden spiral, float64 (count, 3)."""
    i = np.arange(count) + 0.5
    y = 1 - 2 * i / count
    angle = np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - y * y)
    return np.stack([r * np.cos(angle), y, r * np.sin(angle)], axis=1)


def _frame(direction: Floats) -> Floats:
    """A rotation (3, 3) whose third row is `direction`."""
    helper = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(direction, right), direction])
