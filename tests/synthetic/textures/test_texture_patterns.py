"""Patterns: values where they belong, the lattice against plain loops."""

import math

import numpy as np
import pytest

from pocketface.synthetic.textures.lattice import PERIOD, Lattice
from pocketface.synthetic.textures.patterns import KINDS, Seen, draw_pattern
from pocketface.synthetic.textures.texture import draw_outline, radius

RNG = np.random.default_rng


def coordinates(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    points = RNG(1).uniform(-5, 70, (2, 5, count)).astype(np.float32)
    return points[0], points[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pattern_has_values_from_0_to_1_and_shows_something(kind: str) -> None:
    side = np.linspace(0, 6, 60, dtype=np.float32)
    u, v = np.meshgrid(side, side)
    shown = []
    for seed in range(12):
        pattern = draw_pattern(RNG(seed), kind)
        values = pattern.values(Seen(u, v, 0.1, Lattice(RNG(seed + 50))))
        assert values.shape == u.shape
        assert values.dtype == np.float32
        assert values.min() >= 0
        assert values.max() <= 1
        assert values.std() > 0.03
        shown.append(values)
    assert not any(np.array_equal(shown[0], other) for other in shown[1:])


def test_kinds_differ_from_each_other() -> None:
    side = np.linspace(0, 6, 60, dtype=np.float32)
    at = Seen(*np.meshgrid(side, side), 0.1, Lattice(RNG(0)))
    shown = [draw_pattern(RNG(3), kind).values(at) for kind in KINDS]
    alike = np.corrcoef([values.ravel() for values in shown]) - np.eye(len(shown))
    assert np.abs(alike).max() < 0.9


@pytest.mark.parametrize(("jitter", "stagger"), [(0.0, 0.0), (0.35, 0.5), (1.0, 0.0), (0.8, 0.5)])
def test_the_nearest_point_is_that_of_a_plain_search(jitter: float, stagger: float) -> None:
    lattice = Lattice(RNG(4))
    u, v = coordinates()
    found = lattice.nearest(u, v, jitter, stagger)
    numbers = lattice._numbers.reshape(4, PERIOD, PERIOD)
    for place in np.ndindex(u.shape):
        x, y = float(u[place]), float(v[place])
        options = []
        for row in range(math.floor(y) - 1, math.floor(y) + 2):
            shift = stagger * (row % 2)
            for column in range(math.floor(x - shift) - 1, math.floor(x - shift) + 2):
                own = numbers[:, column % PERIOD, row % PERIOD]
                to_x = x - (column + shift + 0.5 + jitter * (own[0] - 0.5))
                to_y = y - (row + 0.5 + jitter * (own[1] - 0.5))
                options.append((math.hypot(to_x, to_y), to_x, to_y, own[2], own[3]))
        options.sort()
        nearest, second = options[:2]
        assert found.distance[place] == pytest.approx(nearest[0], abs=1e-4)
        assert found.second[place] == pytest.approx(second[0], abs=1e-4)
        if second[0] - nearest[0] > 1e-3:
            assert (found.u[place], found.v[place]) == pytest.approx(nearest[1:3], abs=1e-4)
            assert (found.turn[place], found.tone[place]) == nearest[3:]


def test_noise_of_one_octave_goes_through_the_cells_numbers() -> None:
    lattice = Lattice(RNG(5))
    i, j = np.meshgrid(np.arange(-3, 70, dtype=np.int32), np.arange(5, dtype=np.int32))
    numbers = lattice.number(0, i, j)
    u, v = i.astype(np.float32), j.astype(np.float32)
    np.testing.assert_array_equal(lattice.noise(u, v, 1, 0.5), numbers)
    # Half way between two it is their mean, and a small step makes a small difference.
    half = lattice.noise(u + np.float32(0.5), v, 1, 0.5)
    np.testing.assert_allclose(half, (numbers + lattice.number(0, i + 1, j)) / 2, atol=1e-6)
    fine = lattice.noise(u + np.float32(0.01), v, 4, 0.6) - lattice.noise(u, v, 4, 0.6)
    assert 0 < np.abs(fine).max() < 0.2


def test_an_outline_is_the_sum_of_its_waves() -> None:
    outline = draw_outline(RNG(8))
    angles = np.linspace(-np.pi, np.pi, 33, dtype=np.float32)
    for angle, found in zip(angles.tolist(), radius(outline, angles), strict=True):
        waves = ((wave * np.exp(1j * k * angle)).real for k, wave in enumerate(outline, 2))
        assert found == pytest.approx(max(0.3, 1 + sum(waves)), abs=1e-5)
