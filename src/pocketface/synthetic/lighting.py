"""Light on a surface, worked out at vertices: what falls on it, and what shines off it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.nuisance import Nuisance
from pocketface.synthetic.scenery import LIGHTS

_BLEED = (0.11, 0.02, 0.0)  # light bleeds through skin around its edges, red the farthest


@dataclass(frozen=True)
class Lit:
    """Light at vertices.

    `diffuse` float32 (3, N, V): linear light that falls on each; `glint` (N, V): mirrored.
    """

    diffuse: Tensor
    glint: Tensor


def light(
    normals: Tensor, arrives: Tensor, openness: Tensor, bleed: Tensor, look: Appearance
) -> Lit:
    """Light a surface from the sky, the ground and the lamps.

    `normals` float32 (N, 3, V) in the camera's axes; `arrives` (L, N, V): which share of each
    lamp's light does; `openness` (V,): which share of the sky is seen; `bleed` (V,): 1 on skin,
    else 0.
    """
    lamp = look.stack(*(f"light{k}_{axis}" for k in range(LIGHTS) for axis in "xyz"))
    half = look.stack(*(f"half{k}_{axis}" for k in range(LIGHTS) for axis in "xyz"))
    tint = look.stack(*(f"light{k}_{c}" for k in range(LIGHTS) for c in "rgb"))
    soft = 0.05 + 0.35 * look.stack(*(f"soft{k}" for k in range(LIGHTS)))
    nx, ny, nz = normals.unbind(1)
    toward = nx * lamp[0::3] + ny * lamp[1::3] + nz * lamp[2::3]
    shine = (nx * half[0::3] + ny * half[1::3] + nz * half[2::3]).clamp_(min=0)
    broad = shine * shine
    broad = broad * broad
    tight = broad * broad
    tight = tight * tight
    mirrored = (0.05 * broad + 0.35 * tight) * (toward * 4).clamp_(0, 1) * arrives
    glint = _over_lamps(mirrored * tint[1::3])
    up = (0.5 + 0.5 * ny) * openness
    down = openness - up
    sky, ground = look.colour("sky"), look.colour("ground")
    # The key lamp's edge bleeds red; for the weaker lamps one grey edge is enough.
    key = [_lit(toward[0], soft[0] + share * bleed, arrives[0], openness) for share in _BLEED]
    rest = _lit(toward[1:], soft[1:], arrives[1:], openness)
    diffuse = []
    for c in range(3):
        light = key[c] * tint[c] + sky[c] * up + ground[c] * down
        for k in range(1, LIGHTS):
            light += rest[k - 1] * tint[3 * k + c]
        diffuse.append(light)
    return Lit(torch.stack(diffuse), glint)


def _lit(toward: Tensor, wrap: Tensor, arrives: Tensor, openness: Tensor) -> Tensor:
    """What arrives of a lamp whose light bends `wrap` around a surface and into its shade."""
    share = ((toward + wrap) / (1 + wrap)).clamp_(min=0)
    return share * (arrives + wrap * (openness - arrives))


def lamp_directions(nuisances: Sequence[Nuisance], rotation: Tensor) -> NDArray[np.float64]:
    """Directions towards the lamps in each head's own axes, float64 (N, L, 3)."""
    towards = np.stack([n.light_from for n in nuisances])
    turn = rotation.cpu().numpy()
    return np.asarray((towards[:, :, :, None] * turn[:, None]).sum(axis=2))


def _over_lamps(values: Tensor) -> Tensor:
    """The sum over the first axis, in its order."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
