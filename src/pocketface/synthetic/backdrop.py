"""What is behind the person: a wall that shades off, soft shapes before it, some clutter."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pocketface.synthetic import plates
from pocketface.synthetic.nuisance import Nuisance
from pocketface.synthetic.scenery import BLOBS


def backdrop(nuisances: Sequence[Nuisance], size: int, device: torch.device) -> Tensor:
    """Linear colour behind each person, float32 (N, 3, H, W), drawn at half size (no focus)."""
    half = size // 2
    axis = (torch.arange(half, device=device, dtype=torch.float32) + 0.5) * (2 / half) - 1
    x, y = axis.view(1, 1, -1), axis.view(1, -1, 1)

    def send(values: Sequence[object]) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float32), device=device)

    walls = send([n.backdrop for n in nuisances])[..., None, None]
    offset = np.array([n.plate_offset for n in nuisances])
    rows = torch.arange(half, device=device)
    down = torch.as_tensor(offset[:, 6], device=device).view(-1, 1, 1) + (rows * 140 // size).view(
        1, -1, 1
    )
    right = torch.as_tensor(offset[:, 7], device=device).view(-1, 1, 1) + (rows * 140 // size).view(
        1, 1, -1
    )
    cloud = plates.read("cloud", down.expand(-1, -1, half), right.expand(-1, half, -1))
    clutter = send([n.clutter for n in nuisances]).view(-1, 1, 1)
    tilt = send([n.blobs[0, 2] for n in nuisances]).view(-1, 1, 1) * (1 / 3.2) - 0.5
    share = (0.5 + 0.5 * (y + tilt * x) + 0.8 * clutter * cloud).clamp(0, 1)
    colour = walls[:, 0] + (walls[:, 1] - walls[:, 0]) * share[:, None]
    shapes = torch.as_tensor(
        np.array([_shapes(n) for n in nuisances], dtype=np.float32), device=device
    )
    cx, cy, ca, sa, along, across, soft = (v[..., None, None] for v in shapes[..., :7].unbind(-1))
    dx, dy = x[:, None] - cx, y[:, None] - cy
    u, v = (dx * ca + dy * sa) * along, (dy * ca - dx * sa) * across
    u2, v2 = u * u, v * v
    # Odd shapes are boxes, even ones ellipses.
    far = u2 + v2
    far[:, 1::2] = torch.maximum(u2[:, 1::2], v2[:, 1::2])
    cover = ((1 - far) * soft + 0.5).clamp_(0, 1)
    for k in range(BLOBS):
        rgb = shapes[:, k, 7:, None, None]
        colour = colour + (rgb - colour) * cover[:, k, None]
    colour = (colour + (0.25 * clutter * cloud)[:, None]).clamp(0, 1)
    return (colour * colour).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def _shapes(now: Nuisance) -> list[list[float]]:
    """Centre, direction, inverse half axes, inverse softness, colour of each shape."""
    shapes = []
    for x, y, angle, size, aspect, soft, *rgb in now.blobs.tolist():
        along, across = max(size * aspect, 1e-3), max(size, 1e-3)
        shapes.append(
            [x, y, np.cos(angle), np.sin(angle), 1 / along, 1 / across, 0.5 / max(soft, 1e-2), *rgb]
        )
        if size == 0.0:
            shapes[-1][0] = 1e3
    return shapes
