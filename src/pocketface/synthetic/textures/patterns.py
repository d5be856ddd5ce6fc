"""Kinds of pattern: from coordinates in cells to a value in [0, 1] at each pixel.

Each kind is a function of the pattern's parameters and of what is seen of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pocketface.synthetic.textures.lattice import Lattice, Map, whole


class Seen(NamedTuple):
    """What an image shows of a pattern.

    Attributes:
        u, v: the pixels' coordinates, in cells.
        soft: how many cells a pixel is wide: edges are softened over it.
        lattice: the image's chance.
    """

    u: Map
    v: Map
    soft: float
    lattice: Lattice


@dataclass(frozen=True)
class Pattern:
    """A kind and what makes it another than the next of its kind.

    Attributes:
        kind: a key of `KINDS`.
        frequency: cells across an image, before the image is scaled.
        aspect: by how much cells are longer than wide.
        angle: by which the pattern is turned, in radians.
        share: in (0, 1), how much of it is filled: the width of a stripe, the size of a spot.
        jitter: in [0, 1], how far the lattice is from regular.
        detail: in [0, 1], how strong what is laid over it is.
        sides: 3 to 7, the corners of a polygon, and how many octaves or rings.
    """

    kind: str
    frequency: float
    aspect: float
    angle: float
    share: float
    jitter: float
    detail: float
    sides: int

    def values(self, at: Seen) -> Map:
        """The pattern's value in [0, 1] at each pixel."""
        return KINDS[self.kind](self, at)


def draw_pattern(rng: np.random.Generator, kind: str) -> Pattern:
    """Draw a pattern of `kind`."""
    return Pattern(
        kind,
        frequency=float(np.exp(rng.uniform(np.log(2.5), np.log(9.0)))),
        aspect=float(np.exp(rng.uniform(-0.5, 0.5))),
        angle=float(rng.uniform(0, np.pi)),
        share=float(rng.uniform(0.25, 0.75)),
        jitter=float(rng.choice([0.0, 0.35, 0.8])),
        detail=float(rng.uniform(0.15, 1.0)),
        sides=int(rng.integers(3, 8)),
    )


def _filled(inside: Map, soft: float) -> Map:
    """1 where `inside` (cells within an edge) is positive, 0 where negative, a pixel between."""
    filled: Map = np.clip(inside / np.float32(max(soft, 1e-3)) + np.float32(0.5), 0, 1)
    return filled


def _wave(phase: Map) -> Map:
    """A sine between 0 and 1 with period 1."""
    wave: Map = np.float32(0.5) + np.float32(0.5) * np.sin(np.float32(2 * np.pi) * phase)
    return wave


def _fold(x: Map) -> Map:
    """The distance from the middle of the cell, 0 to 0.5."""
    folded: Map = np.abs(x - np.floor(x) - np.float32(0.5))
    return folded


def _stripes(p: Pattern, at: Seen) -> Map:
    return _filled(np.float32(p.share / 2) - _fold(at.u), at.soft)


def _waves(p: Pattern, at: Seen) -> Map:
    return _wave(at.u + np.float32(0.4 * p.detail) * np.sin(np.float32(2 * np.pi * p.share) * at.v))


def _checks(p: Pattern, at: Seen) -> Map:
    along = _filled(_fold(at.u) - np.float32(0.2 + 0.1 * p.share), at.soft)
    across = _filled(_fold(at.v) - np.float32(0.2 + 0.1 * p.share), at.soft)
    return along + across - 2 * along * across


def _weave(p: Pattern, at: Seen) -> Map:
    half = np.float32(0.2 + 0.28 * p.share)
    across_u, across_v = _fold(at.u), _fold(at.v)
    warp, weft = _filled(half - across_u, at.soft), _filled(half - across_v, at.soft)
    over = ((np.floor(at.u) + np.floor(at.v)) % 2).astype(np.float32)
    up = warp * (1 - across_u) * (np.float32(0.55) + np.float32(0.45) * over)
    down = weft * (1 - across_v) * (1 - np.float32(0.45) * over)
    return np.maximum(up, down)


def _bricks(p: Pattern, at: Seen) -> Map:
    row = whole(at.v)
    along = at.u / np.float32(2) + np.float32(0.5) * (row % 2).astype(np.float32)
    joint = np.float32(0.5 - 0.15 * p.share)
    brick = _filled(joint - _fold(at.v), at.soft) * _filled(
        2 * (joint - _fold(along)) + np.float32(0.15), at.soft
    )
    tone = at.lattice.number(2, whole(along), row)
    return brick * (1 - np.float32(0.6 * p.detail) * tone)


def _spots(p: Pattern, at: Seen) -> Map:
    near = at.lattice.nearest(at.u, at.v, p.jitter, _stagger(p))
    radius = np.float32(0.15 + 0.3 * p.share) * (1 - np.float32(0.5 * p.jitter) * near.turn)
    return _filled(radius - near.distance, at.soft)


def _rings(p: Pattern, at: Seen) -> Map:
    near = at.lattice.nearest(at.u, at.v, p.jitter, _stagger(p))
    return _wave(np.float32(p.sides / 2) * near.distance + near.turn)


def _cells(p: Pattern, at: Seen) -> Map:
    near = at.lattice.nearest(at.u, at.v, 0.5 + 0.5 * p.jitter)
    return np.float32(p.detail) * near.tone + np.float32(1 - p.detail) * near.distance


def _cracks(p: Pattern, at: Seen) -> Map:
    near = at.lattice.nearest(at.u, at.v, 0.4 + 0.6 * p.jitter)
    return _filled(near.second - near.distance - np.float32(0.3 * p.share), at.soft)


def _crosses(p: Pattern, at: Seen) -> Map:
    near = at.lattice.nearest(at.u, at.v, p.jitter, _stagger(p))
    turn = np.float32(np.pi * p.jitter) * near.turn
    along = np.abs(np.cos(turn) * near.u - np.sin(turn) * near.v)
    across = np.abs(np.sin(turn) * near.u + np.cos(turn) * near.v)
    arm, half = np.float32(0.44), np.float32(0.05 + 0.14 * p.share)
    inside = np.minimum(half - np.minimum(along, across), arm - np.maximum(along, across))
    return _filled(inside, at.soft)


def _polygons(p: Pattern, at: Seen) -> Map:
    near = at.lattice.nearest(at.u, at.v, p.jitter, _stagger(p))
    angle = np.arctan2(near.v, near.u) + np.float32(2 * np.pi * p.jitter) * near.turn
    sector = np.float32(2 * np.pi / p.sides)
    within = angle - sector * np.floor(angle / sector) - sector / 2
    inner = np.float32((0.24 + 0.24 * p.share) * np.cos(np.pi / p.sides))
    return _filled(inner - near.distance * np.cos(within), at.soft)


def _clouds(p: Pattern, at: Seen) -> Map:
    return _contrast(at.lattice.noise(at.u, at.v, p.sides - 1, 0.3 + 0.5 * p.detail), 2.0)


def _islands(p: Pattern, at: Seen) -> Map:
    heights = at.lattice.noise(at.u, at.v, 1 + p.sides // 2, 0.5 * p.detail)
    return _filled(heights - np.float32(0.35 + 0.3 * p.share), at.soft)


def _marble(p: Pattern, at: Seen) -> Map:
    drift = at.lattice.noise(at.u / np.float32(2), at.v / np.float32(2), 4, 0.55)
    return _wave(at.u / np.float32(2) + np.float32(0.5 + 2.5 * p.detail) * drift)


def _stagger(p: Pattern) -> float:
    return 0.5 if p.sides % 2 else 0.0


def _contrast(values: Map, gain: float) -> Map:
    stretched: Map = np.clip((values - np.float32(0.5)) * np.float32(gain) + np.float32(0.5), 0, 1)
    return stretched


Kind = Callable[[Pattern, Seen], Map]

KINDS: dict[str, Kind] = {
    "stripes": _stripes,
    "waves": _waves,
    "checks": _checks,
    "weave": _weave,
    "bricks": _bricks,
    "spots": _spots,
    "rings": _rings,
    "cells": _cells,
    "cracks": _cracks,
    "crosses": _crosses,
    "polygons": _polygons,
    "clouds": _clouds,
    "islands": _islands,
    "marble": _marble,
}
"""Every kind of pattern by name."""
