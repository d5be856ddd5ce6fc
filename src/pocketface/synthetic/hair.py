"""Hair: where it grows, and a shell of it around the skull that styles shape.

The shell follows the person's own skull down to the ears and falls straight from there. Each of its
vertices knows how far inside the hair it lies (`inside`, mm, negative outside), so that the outline
is cut per pixel, jagged by the strands.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketface.synthetic import plates
from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.head import grid_triangles, template_head
from pocketface.synthetic.skin import SkinPlaces, painter_places
from pocketface.synthetic.surface import grid_normals

Floats = NDArray[np.float64]

_FALL_ROWS = 6


@dataclass(frozen=True)
class _Grid:
    """Which skull vertices the shell copies: `source` (R, C) and its place on the template."""

    source: NDArray[np.int64]
    x: Tensor
    y: Tensor
    z: Tensor
    angle: Tensor
    row: Tensor


@dataclass(frozen=True)
class Shell:
    """The hair of a batch.

    `points` float64 (N, 3, V) in the head's axes, mm; `inside` float32 (N, V); `along`, `around`
    float32 (N, V): where on the plate of strands each vertex lies.
    """

    points: Tensor
    inside: Tensor
    along: Tensor
    around: Tensor


@cache
def shell_triangles() -> NDArray[np.int64]:
    """Triangles of the shell, int64 (T, 3)."""
    rows, columns = _grid_shape()
    return grid_triangles(rows + _FALL_ROWS, columns, wrap=True)


@cache
def falling_triangles() -> NDArray[np.int64]:
    """The triangles beside and below the ears, int64 (T, 3): one can see their inside."""
    rows, columns = _grid_shape()
    triangles = shell_triangles()
    return np.asarray(triangles[triangles.min(axis=1) > (rows - 12) * columns])


def shell_size() -> int:
    """How many vertices a shell has."""
    rows, columns = _grid_shape()
    return (rows + _FALL_ROWS) * columns


@dataclass(frozen=True)
class Scalp:
    """Where hair grows on the heads of a batch.

    `roots` float32 (N, V): density of hair roots on each vertex of the head, 0 to 1; `buried` bool
    (N, V): vertices so deep in hair or under a hat that nobody sees them.
    """

    roots: Tensor
    buried: Tensor


def scalp(look: Appearance, places: SkinPlaces) -> Scalp:
    """Where hair grows on the heads of a batch."""
    edge = _growth(look, places.x, places.y, places.z)
    cropped = ((0.2 - look["hair_length"]) * 0.4 + 0.75).clamp(0.55, 0.85)
    roots = (edge * (1 / 9.0) + 0.4).clamp(0, 1) * (1 - places.ear) * (1 - 0.5 * look["bald"])
    covered = (look["hair_length"] > -1.0) & (edge > 16)
    hatted = (look["hat"] > 0) & (places.y > 62)
    return Scalp(roots * cropped, (covered & (look["hat"] == 0) | hatted) & (places.ear == 0))


def shell(shape: Tensor, look: Appearance) -> Shell:
    """Lay hair around bent heads, float64 (N, 3, V)."""
    grid = _grid(shape.device)
    rows, columns = grid.source.shape
    count = len(shape)
    source = torch.as_tensor(grid.source.reshape(-1), device=shape.device)
    skull = shape.index_select(2, source).view(count, 3, rows, columns)
    index = torch.arange(rows, device=shape.device)
    normal = grid_normals(
        skull.float(), wrap=True, up=(index - 1).clamp(min=0), down=(index + 1).clamp(max=rows - 1)
    )
    inside, thick, fall = _style(look, grid)
    offset = thick.view(count, 1, rows, columns)
    above = skull + (normal * offset).double()
    last = above[:, :, -1:]
    step = (
        torch.arange(1, _FALL_ROWS + 1, device=shape.device, dtype=torch.float64).view(1, -1, 1)
        / _FALL_ROWS
    )
    drop = fall.double().view(count, 1, 1) * step
    sway = 1 + 0.06 * step * step
    x, y, z = last.unbind(1)
    hanging = torch.stack([x * sway, y - drop, z * (1 + 0.03 * step)], dim=1)
    points = torch.cat([above, hanging], dim=2)
    tip = fall.view(count, 1, 1) * (1 - step.float()) - 2
    side = _open_side(look, grid)[:, -1:].expand(count, _FALL_ROWS, columns)
    below = torch.minimum(tip.expand_as(side), side)
    around = (grid.angle * 40).expand(count, rows, columns)
    along = grid.row.expand(count, rows, columns)
    return Shell(
        points.reshape(count, 3, -1),
        torch.cat([inside, below], dim=1).reshape(count, -1),
        torch.cat([along, along[:, -1:] + 90 * step.float().expand_as(side)], dim=1).reshape(
            count, -1
        ),
        torch.cat([around, around[:, -1:].expand_as(side)], dim=1).reshape(count, -1),
    )


def shell_normals(camera: Tensor) -> Tensor:
    """Unit normals float32 (N, 3, V) of turned shells (N, 3, V)."""
    rows, columns = _grid_shape()
    rows += _FALL_ROWS
    index = torch.arange(rows, device=camera.device)
    grid = camera.float().view(len(camera), 3, rows, columns)
    normal = grid_normals(
        grid, wrap=True, up=(index - 1).clamp(min=0), down=(index + 1).clamp(max=rows - 1)
    )
    return normal.reshape(len(camera), 3, -1)


def strands(
    look: Appearance, image: Tensor, inside: Tensor, along: Tensor, around: Tensor, soft: float
) -> tuple[Tensor, Tensor]:
    """Coverage (P,) and albedo (3, P) of hair at fragments of the shell."""
    curl, hat, grey = look.at(image, "hair_curl", "hat", "grey")
    worn = hat > 0
    straight = plates.read(
        "strand", (along * 1.2 + 512).to(torch.int64), (around * 1.5 + 512).to(torch.int64)
    )
    ringlet = plates.read(
        "grain", (along * 0.55 + 512).to(torch.int64), (around * 0.8 + 512).to(torch.int64)
    )
    curly = (curl * 1.6 - 0.4).clamp(0, 1)
    texture = straight + curly * (ringlet - straight)
    ragged = torch.where(worn, torch.zeros_like(texture), texture * (2.2 + 2.0 * curly))
    cover = ((inside + ragged) * (1 / (soft * 1.2 + 1.5 * (~worn))) + 0.5).clamp(0, 1)
    shade = (1 + (0.30 + 0.15 * curly + 0.15 * grey) * texture).clamp(0.25, 2.0)
    hair = look.colour_at(image, "hair") * shade
    cloth = look.colour_at(image, "hat") * (1 + 0.05 * ringlet)
    return cover, torch.where(worn, cloth, hair)


def _growth(look: Appearance, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """How far inside the hair's natural outline a place lies, mm (negative outside)."""
    ax = x.abs()
    temple = _hill((ax - 34) * (1 / 20.0))
    corner = ((ax - 48) * (1 / 14.0)).clamp(min=0)
    line = (
        look["hairline"]
        + look["recede"] * temple
        - look["widow"] * _hill(x * (1 / 12.0))
        - 16 * corner * corner
    )
    bald = look["bald"]
    front = y - line - 75 * (bald - 0.25).clamp(min=0) * (1 - 0.5 * _hill(ax * (1 / 90.0)))
    # Beside the face: in front of the ear a sideburn, above it and behind it down to the nape.
    before = (18 + 0.42 * y).clamp(9, 44) - z
    lowest = -14 + 38 * _step((6 - z) * (1 / 6.0)) - 84 * _step((-24 - z) * (1 / 10.0))
    side = torch.minimum(before, y - lowest)
    side = torch.minimum(side, 118 - 58 * bald * bald - y + 20 * (1 - bald))
    return torch.maximum(front, side)


def _open_side(look: Appearance, grid: _Grid) -> Tensor:
    """How far behind the opening for the face a place lies when long hair hangs, mm, (N, R, C)."""
    opening = 82 - 9 * _wide(look, "hair_fringe") - 4 * _wide(look, "hair_volume")
    lean = 3.5 * _wide(look, "hair_part") * torch.sign(grid.angle)
    return (grid.angle.abs() - opening - lean) * 1.2


def _wide(look: Appearance, name: str) -> Tensor:
    """A column as (N, 1, 1)."""
    return look[name][..., None]


def _style(look: Appearance, grid: _Grid) -> tuple[Tensor, Tensor, Tensor]:
    """`inside` (N, R, C) and thickness of the shell in mm, and how far it hangs (N, 1)."""
    flat = _growth(look, grid.x.reshape(1, -1), grid.y.reshape(1, -1), grid.z.reshape(1, -1))
    natural = flat.view(-1, *grid.x.shape)
    length, curl, hat = _wide(look, "hair_length"), _wide(look, "hair_curl"), _wide(look, "hat")
    # A fringe lowers the outline on the forehead; its slope follows the parting.
    fringe = (
        (_wide(look, "hair_fringe") * 26 - 8).clamp(0, 46)
        * ((length + 0.9) * 1.2).clamp(0, 1)
        * (1 - _wide(look, "bald"))
    )
    slope = (1 + 0.5 * _wide(look, "hair_part") * grid.x * (1 / 45.0)).clamp(0.3, 1.6)
    forehead = (1.9 * _hill(grid.x * (1 / 74.0))).clamp(max=1.0) * (grid.z > 20)
    inside = natural + fringe * slope * forehead
    long = ((length - 0.35) * 2.5).clamp(0, 1)
    side = torch.minimum(_open_side(look, grid), 60 - grid.y)
    inside = torch.where(long > 0, torch.maximum(inside, side), inside)
    # Hair that is cut to nothing has no shell.
    inside = torch.where(length < -1.25, inside.clamp(max=-6), inside)
    depth = (inside * (1 / 22.0)).clamp(0, 1)
    top = _step((grid.y - 30) * (1 / 70.0))
    volume = _wide(look, "hair_volume")
    body = (2.0 + (4.0 + 16.0 * volume) * ((length + 1.3) * 0.6).clamp(0, 1.2)) * (
        0.55 + 0.45 * top
    )
    body = body + 16.0 * (curl - 0.55).clamp(min=0) * (length + 1.0).clamp(0, 2) + 5.0 * long
    hung = _wide(look, "hair_part") * torch.sign(grid.x) * 2.0 * top
    thick = (
        1.5 + (body + hung).clamp(min=1.5) * (0.10 + 0.90 * depth) + 4.0 * (fringe > 1) * forehead
    )
    fall = (-8 + 55 * long + 70 * (length - 0.9).clamp(0, 1.6))[..., 0]
    # A hat or a scarf is a shell of cloth.
    scarf = hat > 0.85
    brim = grid.y - 30 - 10 * (1 - grid.z * (1 / 95.0)) + 30 * (hat - 0.4)
    cloth = torch.where(scarf, torch.maximum(grid.y - 48, _open_side(look, grid) + 8), brim)
    inside = torch.where(hat > 0, cloth, inside)
    thick = torch.where(hat > 0, 6.0 + 9.0 * _step((grid.y - 30) * (1 / 60.0)), thick)
    fall = torch.where(hat[..., 0] > 0, torch.where(scarf[..., 0], 80.0, -8.0), fall)
    return inside, thick, fall


@cache
def _grid_shape() -> tuple[int, int]:
    rows, columns = _source().shape
    return rows, columns


@cache
def _source() -> NDArray[np.int64]:
    """Vertices of the skull down to the ears' middle that the shell copies, (R, C)."""
    head = template_head()
    index = np.arange(head.rows * head.columns).reshape(head.rows, head.columns)
    side = head.base[index][:, np.argmin(np.abs(head.base[index[head.rows // 2], 2]))]
    last = int(np.argmax(side[:, 1] < -12))
    # Every second column, and every one beside the face, where the outline is seen from the side.
    angle = np.degrees(np.arctan2(*head.base[index[head.rows // 2]].T[[0, 2]]))
    beside = (np.abs(angle) > 35) & (np.abs(angle) < 100)
    return index[: last + 1, beside | (np.arange(head.columns) % 2 == 1)]


@cache
def _grid(device: torch.device) -> _Grid:
    source = _source()
    x, y, z = (values[source] for values in painter_places())
    base = template_head().base[source]
    angle = np.degrees(np.arctan2(base[-1, :, 0], base[-1, :, 2] - 5))
    step = np.linalg.norm(np.diff(base, axis=0), axis=2).mean(axis=1)
    row = np.concatenate([[0], np.cumsum(step)])

    def send(values: Floats) -> Tensor:
        return torch.as_tensor(values.astype(np.float32), device=device)

    return _Grid(
        source, send(x), send(y), send(z), send(np.tile(angle, (len(x), 1))), send(row)[:, None]
    )


def _hill(d: Tensor) -> Tensor:
    rest = (1 - d * d).clamp(min=0)
    return rest * rest


def _step(t: Tensor) -> Tensor:
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)
