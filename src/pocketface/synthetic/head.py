"""The template head: one mesh, in millimetres, that every synthetic person is bent from.

Axes as seen by somebody who looks at the face: x to the right, y up, z towards the viewer. The
origin lies between the eyes' centres in x and y and between the ear canals in z. The measures are
ours, set to lie near the usual adult ones (eyes 63 mm apart, face 138 mm wide, 118 mm from the root
of the nose to the chin).

The surface is a stack of closed loops from the crown to the shoulders. A loop is given by three
points (front, side, back) and joined by half superellipses, so that a table of about twenty rows
describes a whole head without a nose; `anatomy` then pushes the features out of it. Four of the
loops coincide at the mouth line: the two inner ones are the inside of the mouth, which opens when
the lower ones move down. Each ear is a small sheet of its own.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOUTH_Y = -72.5
"""Height of the closed mouth line in mm."""

# front y, z | side x, y, z | back y, z | superellipse exponent | loops down to the next entry
_LOOPS: tuple[
    tuple[tuple[float, float], tuple[float, float, float], tuple[float, float], float, int], ...
] = (
    ((118, 2), (1, 118, 0), (118, -2), 2.0, 1),
    ((115, 34), (24, 115, -2), (115, -32), 2.0, 1),
    ((101, 66), (49, 101, -6), (100, -64), 2.1, 2),
    ((76, 85), (68, 76, -8), (74, -84), 2.25, 3),
    ((45, 95), (76, 45, -6), (40, -94), 2.35, 5),
    ((18, 96.5), (77, 20, -2), (8, -94), 2.6, 6),
    ((-6, 95), (75.5, -2, 3), (-12, -90), 2.7, 8),
    ((-38, 92), (72, -28, 6), (-32, -79), 2.65, 6),
    ((-58, 91), (69, -43, 8), (-46, -70), 2.5, 4),
    ((MOUTH_Y, 90.5), (66.5, -52, 9), (-56, -66), 2.4, 1),
    ((MOUTH_Y, 90.5), (66.5, -52, 9), (-56, -66), 2.4, 1),
    ((MOUTH_Y, 90.5), (66.5, -52, 9), (-56, -66), 2.4, 1),
    ((MOUTH_Y, 90.5), (66.5, -52, 9), (-56, -66), 2.4, 4),
    ((-88, 88.5), (64, -62, 10), (-68, -64), 2.3, 3),
    ((-104, 86), (61, -70, 10), (-78, -63), 2.1, 2),
    ((-117, 79), (58, -77, 9), (-84, -62), 2.05, 2),
    ((-122, 66), (56, -83, 4), (-90, -61), 2.0, 1),
    ((-125, 48), (55, -88, -4), (-95, -61), 2.0, 1),
    ((-129, 28), (56, -96, -12), (-102, -61), 2.0, 1),
    ((-150, 22), (63, -128, -20), (-128, -63), 2.0, 1),
    ((-172, 28), (86, -148, -24), (-146, -72), 2.1, 1),
    ((-192, 44), (155, -172, -26), (-170, -84), 2.3, 1),
    ((-260, 62), (205, -235, -26), (-240, -90), 2.4, 0),
)

_EAR_COLUMNS, _EAR_ROWS = 7, 11


@dataclass(frozen=True)
class Head:
    """The template mesh before any feature is sculpted.

    `base` float64 (V, 3) in mm; `triangles` int64 (T, 3), anticlockwise from outside;
    `mouth` float64 (V,), 0 on the outer skin, 1 inside the mouth; `lower` bool (V,), true from the
    lower lip's edge downwards; `ear` float64 (V, 3): side (-1, 0 skull, 1), then the position
    across (-1 front, 1 rim) and along (-1 lobe, 1 top) the ear; `rows` and `columns` of the
    skull's grid, which fills the first `rows * columns` vertices, row by row from the crown.
    """

    base: Floats
    triangles: Ints
    mouth: Floats
    lower: NDArray[np.bool_]
    ear: Floats
    rows: int
    columns: int


@cache
def template_head() -> Head:
    """Build the template once per process."""
    loops, inner, lower = _loop_table()
    grid = _sweep(loops)
    rows, columns = grid.shape[:2]
    skull = grid.reshape(-1, 3)
    ear_base, ear_place = _ear_sheet()
    mirror = np.array([-1.0, 1.0, 1.0])
    base = np.concatenate([skull, ear_base, ear_base * mirror])
    none = np.zeros(len(ear_base))
    ear_triangles = grid_triangles(_EAR_ROWS, _EAR_COLUMNS, wrap=False)
    triangles = np.concatenate(
        [
            grid_triangles(rows, columns, wrap=True),
            ear_triangles + len(skull),
            ear_triangles[:, ::-1] + len(skull) + len(ear_base),
        ]
    )
    return Head(
        base=base,
        triangles=triangles,
        mouth=np.concatenate([np.repeat(inner, columns), none, none]),
        lower=np.concatenate([np.repeat(lower, columns), none, none]).astype(bool),
        ear=np.concatenate(
            [
                np.zeros((len(skull), 3)),
                np.column_stack([none + 1, ear_place]),
                np.column_stack([none - 1, ear_place]),
            ]
        ),
        rows=rows,
        columns=columns,
    )


def grid_triangles(rows: int, columns: int, *, wrap: bool) -> Ints:
    """Split each cell of a grid of vertices in two triangles, int64 (T, 3).

    Rows run downwards and columns from the viewer's left to the right; `wrap` joins the last
    column to the first.
    """
    across = np.arange(columns if wrap else columns - 1)
    row, column = np.meshgrid(np.arange(rows - 1), across, indexing="ij")
    right = (column + 1) % columns
    a, b = row * columns + column, row * columns + right
    c, d = a + columns, b + columns
    cells = np.stack([np.stack([a, c, b], -1), np.stack([b, c, d], -1)], axis=2)
    return cells.reshape(-1, 3).astype(np.int64)


def _loop_table() -> tuple[Floats, Floats, Floats]:
    """All loops (R, 8), which of them are inside the mouth, and which below its line."""
    keys = np.array([[*front, *side, *back, n] for front, side, back, n, _ in _LOOPS])
    counts = [entry[4] for entry in _LOOPS]
    mouth_keys = [i for i, entry in enumerate(_LOOPS) if entry[0][0] == MOUTH_Y]
    # The cubic runs through each side of the mouth slit apart: equal keys would flatten it.
    single = np.delete(keys, mouth_keys[1:], axis=0)
    position = np.concatenate(
        [[0.0], np.cumsum([c for i, c in enumerate(counts[:-1]) if i not in mouth_keys[:-1]])]
    )
    at: list[float] = []
    inner: list[float] = []
    lower: list[float] = []
    slit = position[mouth_keys[0]]
    for value in np.arange(position[-1] + 1):
        repeats = len(mouth_keys) if value == slit else 1
        at += [float(value)] * repeats
        inner += [0.0, 1.0, 1.0, 0.0] if repeats > 1 else [0.0]
        lower += [0.0, 0.0, 1.0, 1.0] if repeats > 1 else [float(value > slit)]
    return _cubic(position, single, np.array(at)), np.array(inner), np.array(lower)


def _cubic(position: Floats, keys: Floats, at: Floats) -> Floats:
    """Interpolate rows of `keys` with a monotone cubic (Fritsch and Carlson's limited slopes)."""
    step = np.diff(position)[:, None]
    slope = np.diff(keys, axis=0) / step
    tangent = np.zeros_like(keys)
    product = slope[:-1] * slope[1:]
    weight_a, weight_b = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        harmonic = (weight_a + weight_b) / (weight_a / slope[:-1] + weight_b / slope[1:])
    tangent[1:-1] = np.where(product > 0, harmonic, 0.0)
    tangent[0], tangent[-1] = slope[0], slope[-1]
    cell = np.clip(np.searchsorted(position, at, side="right") - 1, 0, len(step) - 1)
    h = step[cell]
    t = (at[:, None] - position[cell][:, None]) / h
    return np.asarray(
        (1 + 2 * t) * (1 - t) ** 2 * keys[cell]
        + t * (1 - t) ** 2 * h * tangent[cell]
        + t**2 * (3 - 2 * t) * keys[cell + 1]
        + t**2 * (t - 1) * h * tangent[cell + 1]
    )


def _sweep(loops: Floats) -> Floats:
    """Draw each loop as two half superellipses: float64 (rows, columns, 3).

    Columns start at the back and run over the viewer's left, the front, the viewer's right. They
    are spaced by x at the front, where the features are, and by angle elsewhere.
    """
    t = np.linspace(0.0, 1.0, 16)
    front = 0.8 * t * (0.75 + 0.25 * t)
    side = np.linspace(np.arcsin(0.8), np.pi / 2, 6)[1:]
    back = np.linspace(np.pi / 2, np.pi, 7)[1:]
    quarter = np.concatenate([np.arcsin(front), side, back])
    angle = np.concatenate([-quarter[:0:-1], quarter[:-1]])
    yf, zf, xs, ys, zs, yb, zb, n = (loops[:, i : i + 1] for i in range(8))
    is_front = np.abs(angle) <= np.pi / 2
    across = np.abs(np.sin(angle))
    along = np.maximum(1 - across ** np.where(is_front, n, 2.0), 0.0) ** (
        1 / np.where(is_front, n, 2.0)
    )
    x = xs * across * np.sign(angle)
    z = np.where(is_front, zs + (zf - zs) * along, zs + (zb - zs) * along)
    # The loops stay level across the features and rise only towards the ears.
    y = np.where(is_front, yf + (ys - yf) * across**3.4, ys + (yb - ys) * along**1.3)
    return np.stack([x, y, z], axis=-1)


def _ear_sheet() -> tuple[Floats, Floats]:
    """The viewer's right ear: vertices (E, 3), and their place across and along it (E, 2)."""
    along, across = np.meshgrid(
        np.cos(np.linspace(0, np.pi, _EAR_ROWS)), np.linspace(-1, 1, _EAR_COLUMNS), indexing="ij"
    )
    # An egg, wider above; the front edge is buried in the skull.
    width = 37 * np.sqrt(np.maximum(1 - along**2, 0.0)) * (0.85 + 0.3 * along)
    reach = (across + 1) / 2 * width
    rim = np.exp(-(((across - 0.9) / 0.35) ** 2)) * (along > -0.5)
    bowl = np.exp(-(((across + 0.1) / 0.45) ** 2) - ((along + 0.1) / 0.4) ** 2)
    flare = 0.55
    x = 69 + 3 * along + np.sin(flare) * reach + 2.0 * rim - 4.0 * bowl
    y = -10 + 31 * along
    z = 6 - 4 * along - np.cos(flare) * reach
    place = np.stack([across, along], axis=-1)
    return np.stack([x, y, z], axis=-1).reshape(-1, 3), place.reshape(-1, 2)
