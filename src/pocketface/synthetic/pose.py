"""From a person and a moment to points on the image: bending, turning, projecting, aligning.

All of it is float64; the last step rounds to 1/16 pixel, so that neither the batch nor the machine
shows in the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketface.synthetic.ageing import age_weights
from pocketface.synthetic.anatomy import average_face
from pocketface.synthetic.head import MOUTH_Y, template_head
from pocketface.synthetic.identity import SHAPE, Identity, dimorphism
from pocketface.synthetic.modes import EXPRESSION, WORN, jaw_weight, mode_matrix
from pocketface.synthetic.nuisance import Nuisance

Floats = NDArray[np.float64]

TEMPLATE_112 = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Where left eye, right eye, nose and mouth corners lie in an aligned 112x112 face (x, y)."""

_JAW_HINGE = (-28.0, 2.0)
_JAW_ANGLE = 0.2
_NECK = np.array([0.0, -105.0, -10.0])
_STEP = 2.0**-12


@dataclass(frozen=True)
class Posed:
    """Heads before a camera, all float64, coordinates before vertices.

    `shape` (N, 3, V): mm, bent but not turned; `camera` (N, 3, V): mm, turned; `pixel` (N, 2, V)
    and `landmarks` (N, 2, 5): pixels, x right and y down, from the image's corner; `projection`
    maps further points that turn with the head the same way.
    """

    shape: Tensor
    camera: Tensor
    pixel: Tensor
    landmarks: Tensor
    projection: "Projection"


@dataclass(frozen=True)
class Projection:
    """Turns, projects and aligns points of a batch of heads.

    `rotation` (N, 3, 3), `distance` (N,), and the similarity (N, 4) a, b, tx, ty with
    u = a x - b y + tx, v = b x + a y + ty on projected coordinates in mm.
    """

    rotation: Tensor
    distance: Tensor
    similarity: Tensor

    def turn(self, points: Tensor) -> Tensor:
        """Rotate points (N, 3, P) of the head to the camera's axes."""
        return _rotate(points, self.rotation)

    def to_pixels(self, camera: Tensor) -> Tensor:
        """Project turned points (N, 3, P) to the image (N, 2, P)."""
        x, y = _perspective(camera, self.distance)
        a, b, tx, ty = (self.similarity[:, i, None] for i in range(4))
        return torch.stack([a * x - b * y + tx, b * x + a * y + ty], dim=1)


def bend(
    identities: Sequence[Identity], nuisances: Sequence[Nuisance], device: torch.device
) -> Tensor:
    """The meshes of these people at these moments, float64 (N, 3, V) in mm, facing the viewer."""
    names = list(EXPRESSION)
    expression = np.array([[getattr(n, name) for name in names] for n in nuisances])
    worn = np.array([[getattr(n, name) for name in WORN] for n in nuisances])
    age = np.array([age_weights(i, n.age) for i, n in zip(identities, nuisances, strict=True)])
    who = np.stack([i.shape for i in identities])
    who[:, SHAPE.index("dimorphism")] = [dimorphism(i) for i in identities]
    rounded = np.round(np.concatenate([who, expression, age, worn], axis=1) / _STEP) * _STEP
    moved = torch.as_tensor(rounded, device=device) @ _all_modes(device)
    shape = (moved + _average(device)).view(len(who), 3, -1)
    angle = torch.as_tensor(np.array([_JAW_ANGLE * n.jaw for n in nuisances]), device=device)
    turn = angle[:, None] * torch.as_tensor(jaw_weight(), device=device)
    x, y, z = shape.unbind(1)
    return torch.stack([x, y - turn * (z - _JAW_HINGE[1]), z + turn * (y - _JAW_HINGE[0])], dim=1)


def place(
    shape: Tensor, nuisances: Sequence[Nuisance], size: int, *, aligned: bool = True
) -> Posed:
    """Turn the bent heads (N, 3, V), project them, and lay them in a `size` x `size` image.

    `aligned` fits the five landmarks, moved by the nuisance's `landmark_shift` (pixels of a
    112-pixel crop) as a detector's would be, to the template by least squares over similarities.
    Otherwise the whole head lies in the middle of the image and keeps its roll, as in a
    loose crop of a photograph.
    """
    device = shape.device

    def send(values: Sequence[object] | Floats) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float64), device=device)

    rotation = send([rotation_matrix(n.yaw, n.pitch, n.roll) for n in nuisances])
    body = send([rotation_matrix(0.35 * n.yaw + n.body_turn, 0, 0.3 * n.roll) for n in nuisances])
    distance = send([n.distance for n in nuisances])
    below = _first_neck_row() * template_head().columns
    camera = _rotate(shape, rotation)
    neck = send(_NECK).view(1, 3, 1)
    follow = send(_head_weight())[below:]
    still = _rotate(shape[:, :, below:] - neck, body) + _rotate(
        neck.expand(len(shape), 3, 1), rotation
    )
    camera[:, :, below:] = camera[:, :, below:] * follow + still * (1 - follow)
    points = _landmark_points(camera)
    flat = torch.stack(_perspective(points, distance), dim=1)
    if aligned:
        shift = send([n.landmark_shift.T for n in nuisances])
        similarity = _fit(flat, (send(TEMPLATE_112.T) - shift) * (size / 112))
    else:
        similarity = _loose(flat, size)
    projection = Projection(rotation, distance, similarity)
    return Posed(
        shape, camera, projection.to_pixels(camera), projection.to_pixels(points), projection
    )


def rotation_matrix(yaw: float, pitch: float, roll: float) -> Floats:
    """The turn of a head, float64 (3, 3): first pitch, then yaw, then roll (degrees)."""
    a, b, c = np.deg2rad([yaw, -pitch, -roll])
    around_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    around_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    around_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(around_z @ around_y @ around_x)


@cache
def landmark_corners() -> tuple[NDArray[np.int64], Floats]:
    """The five landmarks as blends of three vertices: indices (5, 3) and weights (5, 3).

    Left is the viewer's left, as in the 112x112 template.
    """
    head = template_head()
    wanted = np.array([[-31.5, 0.0], [31.5, 0.0], [0.0, -39.5], [-26.0, MOUTH_Y], [26.0, MOUTH_Y]])
    front = head.base[head.triangles][..., 2].min(axis=1) > 30
    outer = head.mouth[head.triangles].max(axis=1) == 0
    triangles = head.triangles[
        front & outer & (head.triangles.max(axis=1) < head.rows * head.columns)
    ]
    corners, weights = [], []
    for x, y in wanted:
        a, b, c = (head.base[triangles[:, k], :2] for k in range(3))
        area = _cross(b - a, c - a)
        point = np.array([x, y])
        with np.errstate(divide="ignore", invalid="ignore"):
            w = np.stack(
                [
                    _cross(b - point, c - point),
                    _cross(c - point, a - point),
                    _cross(a - point, b - point),
                ],
                1,
            )
            w = w / area[:, None]
        best = int(np.argmax(np.where(np.isfinite(w).all(axis=1), w.min(axis=1), -np.inf)))
        corners.append(triangles[best])
        weights.append(w[best])
    return np.array(corners), np.array(weights)


def _cross(a: Floats, b: Floats) -> Floats:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


@cache
def _all_modes(device: torch.device) -> Tensor:
    """Modes of identity, expression, age and what is worn, float64 (K, 3 * V)."""
    kinds = ("identity", "expression", "age", "worn")
    return torch.as_tensor(np.concatenate([mode_matrix(kind) for kind in kinds]), device=device)


@cache
def _average(device: torch.device) -> Tensor:
    return torch.as_tensor(average_face().T.reshape(-1), device=device)


@cache
def _head_weight() -> Floats:
    """How far each vertex turns with the head (1) rather than the shoulders (0)."""
    y = template_head().base[:, 1]
    t = np.clip((y + 185) / 80, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


@cache
def _first_neck_row() -> int:
    """The first loop that does not wholly turn with the head."""
    head = template_head()
    weight = _head_weight()[: head.rows * head.columns].reshape(head.rows, head.columns)
    return int(np.argmax((weight < 1).any(axis=1)))


def _landmark_points(camera: Tensor) -> Tensor:
    """The five landmarks (N, 3, 5) on turned heads (N, 3, V)."""
    corners, weights = landmark_corners()
    taken = camera.index_select(2, torch.as_tensor(corners.reshape(-1), device=camera.device))
    a, b, c = taken.view(len(camera), 3, 5, 3).unbind(-1)
    w = torch.as_tensor(weights, device=camera.device)
    return a * w[:, 0] + b * w[:, 1] + c * w[:, 2]


def _rotate(points: Tensor, matrix: Tensor) -> Tensor:
    """Matrix (N, 3, 3) times points (N, 3, P), written out: one order of sums on every device."""
    x, y, z = points.unbind(1)
    rows = []
    for i in range(3):
        m = matrix[:, i, :, None]
        rows.append(m[:, 0] * x + m[:, 1] * y + m[:, 2] * z)
    return torch.stack(rows, dim=1)


def _perspective(camera: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
    """Project (N, 3, P) in mm on the plane z = 0, y downwards: x and y (N, P) in mm."""
    x, y, z = camera.unbind(1)
    d = distance[:, None]
    scale = d / (d - z)
    return x * scale, -(y * scale)


def _fit(source: Tensor, target: Tensor) -> Tensor:
    """The similarity (N, 4) that brings five points (N, 2, 5) nearest to `target`."""
    sx, sy = source.unbind(1)
    tx, ty = target.unbind(1)
    mean = [_sum5(v) * 0.2 for v in (sx, sy, tx, ty)]
    sx, sy, tx, ty = (v - m[:, None] for v, m in zip((sx, sy, tx, ty), mean, strict=True))
    power = _sum5(sx * sx + sy * sy)
    a = _sum5(sx * tx + sy * ty) / power
    b = _sum5(sx * ty - sy * tx) / power
    return torch.stack(
        [a, b, mean[2] - (a * mean[0] - b * mean[1]), mean[3] - (b * mean[0] + a * mean[1])], dim=1
    )


def _loose(points: Tensor, size: int) -> Tensor:
    """A similarity (N, 4) without a turn that shows the whole head, 330 mm across the image."""
    x, y = (_sum5(v) * 0.2 for v in points.unbind(1))
    a = torch.full_like(x, size / 330)
    return torch.stack([a, torch.zeros_like(a), size * 0.5 - a * x, size * 0.53 - a * y], dim=1)


def _sum5(values: Tensor) -> Tensor:
    v = values.unbind(-1)
    return v[0] + v[1] + v[2] + v[3] + v[4]
