"""Light on a surface, worked out at vertices: what falls on it, and what shines off it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.nuisance import Nuisance

LIGHTS = 3
_WRAP = (0.16, 0.06, 0.03)  # light bleeds through skin, red the farthest


@dataclass(frozen=True)
class Lit:
    """`diffuse` float32 (3, N, V): linear light that falls on each vertex; `glint` (3, N, V): mirrored."""

    diffuse: Tensor
    glint: Tensor


def light(normals: Tensor, seen: Tensor, openness: Tensor, look: Appearance, *, skin: bool) -> Lit:
    """Light a surface from the sky, the ground and the three lamps.

    `normals` float32 (N, 3, V) in the camera's axes; `seen` (N, 3, V): which share of each lamp
    arrives; `openness` (V,) or (N, V): which share of the sky does. `skin` lets red bleed into shadows.
    """
    nx, ny, nz = normals.unbind(1)
    up = (0.5 + 0.5 * ny) * openness
    sky, ground = look.colour("sky"), look.colour("ground")
    down = openness - up
    diffuse = [sky[c] * up + ground[c] * down for c in range(3)]
    glint = [torch.zeros_like(nx) for _ in range(3)]
    for k in range(LIGHTS):
        lx, ly, lz = (look[f"light{k}_{axis}"] for axis in "xyz")
        toward = nx * lx + ny * ly + nz * lz
        arrives = seen[:, k]
        soft = look[f"soft{k}"]
        # Halfway between the light and the viewer; the viewer is far away along z.
        hz = lz + 1
        scale = torch.rsqrt((lx * lx + ly * ly + hz * hz).double().clamp(min=1e-3)).float()
        half = ((nx * lx + ny * ly + nz * hz) * scale).clamp(min=0)
        broad = half * half
        broad = broad * broad
        tight = broad * broad
        tight = tight * tight
        mirrored = (0.05 * broad + 0.35 * tight) * (toward.clamp(0, 0.25) * 4) * arrives
        colour = look.colour(f"light{k}")
        for c in range(3):
            wrap = 0.35 * soft + (_WRAP[c] if skin else 0.05)
            lit = ((toward + wrap) * (1 / (1 + wrap))).clamp(min=0)
            # Bleeding softens the edge of cast shadows too.
            diffuse[c] = diffuse[c] + colour[c] * (lit * (arrives * (1 - wrap) + wrap * openness))
            glint[c] = glint[c] + colour[c] * mirrored
    return Lit(torch.stack(diffuse), torch.stack(glint))


def lamp_directions(nuisances: Sequence[Nuisance], rotation: Tensor) -> np.ndarray:
    """Directions towards the lamps in each head's own axes, float64 (N, L, 3)."""
    towards = np.stack([n.light_from for n in nuisances])
    turn = rotation.cpu().numpy()
    return np.asarray((towards[:, :, :, None] * turn[:, None]).sum(axis=2))
