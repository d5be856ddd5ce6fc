"""How shapes are pushed: soft local moves of the template's surface.

A `Push` moves the surface near a place by some millimetres, with a Gaussian fall-off. Moves are
mirrored to both sides of the face unless they say otherwise. Identity, expression and age are all
made of pushes; so is the template's own anatomy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FINEST = 2.0**-20
"""Displacements are multiples of this (mm), so that sums of them with rounded coefficients are
exact in float64 and a matrix product gives the same bits in any order of summation."""


@dataclass(frozen=True)
class Push:
    """A soft move around one place of the surface.

    `at` (x, y, z) in mm on the template before it is sculpted, x >= 0; `reach` (rx, ry, rz): the
    distances in mm at which the move has fallen to 1/e; `move` (dx, dy, dz) in mm, dx away from the
    middle. `lip` 1 moves only what lies above the mouth line, -1 only what lies below. `side` 0
    mirrors the push to both sides, 1 or -1 keeps it to the viewer's right or left; -2 moves both
    sides the same way in x and in opposite ways in y and z (an asymmetry).
    """

    at: tuple[float, float, float]
    reach: tuple[float, float, float]
    move: tuple[float, float, float]
    side: int = 0
    lip: int = 0


def displacement(base: Floats, lower: NDArray[np.bool_], pushes: Sequence[Push]) -> Floats:
    """Sum of `pushes` at the points `base` (V, 3), float64 (V, 3) in mm.

    `lower` (V,) says which points lie below the mouth line.
    """
    total = np.zeros_like(base)
    for push in pushes:
        moved = _one(base, push)
        total += moved if push.lip == 0 else moved * (lower == (push.lip < 0))[:, None]
    return np.round(total / _FINEST) * _FINEST


def _one(base: Floats, push: Push) -> Floats:
    x, y, z = push.at
    move = np.array(push.move)
    sides = {0: (1, -1), 1: (1,), -1: (-1,), -2: (1, -1)}[push.side]
    total = np.zeros_like(base)
    weights = [gaussian(base, (s * x, y, z), push.reach) for s in sides]
    if len(sides) == 2 and x == 0:
        # Both mirror images are the same place: move it once.
        weights = [weights[0]]
        sides = (1,)
    for side, weight in zip(sides, weights, strict=True):
        flip = np.array([side, 1.0, 1.0]) if push.side != -2 else np.array([1.0, side, side])
        direction = np.tile(move * flip, (len(base), 1))
        if x == 0 and push.side == 0:
            # A widening of the middle: outward on each side, none on the middle line.
            direction[:, 0] *= np.clip(base[:, 0] / push.reach[0] * 1.5, -1, 1)
        if x == 0 and push.side == -2:
            direction[:, 1:] *= np.clip(base[:, :1] / push.reach[0] * 1.5, -1, 1)
        total += weight[:, None] * direction
    return total


def gaussian(
    base: Floats, at: tuple[float, float, float], reach: tuple[float, float, float]
) -> Floats:
    """exp(-sum(((p - at) / reach)^2)) at each of the points `base` (V, 3)."""
    return np.asarray(np.exp(-(((base - np.array(at)) / np.array(reach)) ** 2).sum(axis=1)))
