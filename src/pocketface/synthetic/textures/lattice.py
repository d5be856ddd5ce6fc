"""Chance on a lattice: random numbers by cell, scattered points, value noise.

Coordinates are in cells. Every function works elementwise on maps float32 (H, W).
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.float32]

PERIOD = 64
"""The lattice repeats after so many cells; no image shows as many."""

NEIGHBOURS = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)], np.int32)

Whole = npt.NDArray[np.int32]


class Nearest(NamedTuple):
    """The point nearest to each pixel.

    Attributes:
        u, v: from that point to the pixel, in cells.
        distance: to it, and `second` to the second nearest.
        turn, tone: two random numbers in [0, 1) of that point's own.
    """

    u: Map
    v: Map
    distance: Map
    second: Map
    turn: Map
    tone: Map


def whole(x: Map) -> Whole:
    """The number of the cell in which each coordinate lies."""
    number: Whole = np.floor(x).astype(np.int32)
    return number


class Lattice:
    """Random numbers for the cells of one image, drawn from `rng`."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._numbers = rng.random((4, PERIOD * PERIOD), dtype=np.float32)

    def number(self, which: int, i: Whole, j: Whole) -> Map:
        """The random number `which` (0 to 3) in [0, 1) of the cells (i, j)."""
        numbers: Map = self._numbers[which].take(i % PERIOD * PERIOD + j % PERIOD)
        return numbers

    def nearest(self, u: Map, v: Map, jitter: float, stagger: float = 0.0) -> Nearest:
        """Find for each pixel the nearest of the points of its own cell and the eight around it.

        One point stands in each cell; `jitter` from 0 (in the middle) to 1 (anywhere) scatters it;
        every second row is moved by `stagger` cells.
        """
        step_i, step_j = (NEIGHBOURS[:, axis, None, None] for axis in (0, 1))
        rows = whole(v) + step_j
        shift = np.float32(stagger) * (rows % 2).astype(np.float32)
        columns = (whole(u - shift) if stagger else whole(u)) + step_i
        cells = columns % PERIOD * PERIOD + rows % PERIOD
        spread = np.float32(jitter)
        middle = np.float32(0.5) * (1 - spread)
        scatter_u, scatter_v = (spread * self._numbers[k].take(cells) + middle for k in (0, 1))
        to_u = u - shift - columns.astype(np.float32) - scatter_u
        to_v = v - rows.astype(np.float32) - scatter_v
        squares = to_u * to_u + to_v * to_v
        best = squares.argmin(axis=0)[None]
        distance = np.sqrt(np.take_along_axis(squares, best, axis=0)[0])
        cell = np.take_along_axis(cells, best, axis=0)[0]
        to_best = [np.take_along_axis(to, best, axis=0)[0] for to in (to_u, to_v)]
        np.put_along_axis(squares, best, np.float32(np.inf), axis=0)
        second = np.sqrt(squares.min(axis=0))
        turn, tone = (self._numbers[k].take(cell) for k in (2, 3))
        return Nearest(to_best[0], to_best[1], distance, second, turn, tone)

    def noise(self, u: Map, v: Map, octaves: int, persistence: float) -> Map:
        """Value noise in [0, 1], about half on average: each octave twice as fine.

        An octave has `persistence` times the height of the one before.
        """
        total = np.zeros_like(u)
        height, heights = 1.0, 0.0
        for octave in range(octaves):
            # Turned by an angle that repeats nowhere, so that the octaves' lattices do not meet.
            cos, sin = 2.0**octave * math.cos(1.1 * octave), 2.0**octave * math.sin(1.1 * octave)
            along, across = cos * u - sin * v, sin * u + cos * v
            total += np.float32(height) * self._smooth(octave % 4, along, across)
            heights += height
            height *= persistence
        return total / np.float32(heights)

    def _smooth(self, which: int, u: Map, v: Map) -> Map:
        """The cells' numbers with smooth passages between them."""
        i, j = whole(u), whole(v)
        a, b = u - i.astype(np.float32), v - j.astype(np.float32)
        a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
        low = (1 - a) * self.number(which, i, j) + a * self.number(which, i + 1, j)
        high = (1 - a) * self.number(which, i, j + 1) + a * self.number(which, i + 1, j + 1)
        mixed: Map = (1 - b) * low + b * high
        return mixed
