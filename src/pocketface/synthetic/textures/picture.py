"""One image of a class: where it is seen from, its light, its colours, and the camera's noise."""

import numpy as np
import numpy.typing as npt

from pocketface.synthetic.textures.lattice import PERIOD, Lattice, Map
from pocketface.synthetic.textures.patterns import KINDS, Pattern, Seen, draw_pattern
from pocketface.synthetic.textures.texture import Texture, draw_palette, radius

TURN = 0.6
"""The most by which an image is turned either way, in radians."""

ZOOM = 0.25
"""The most by which the logarithm of the scale changes."""

COLOUR = 0.13
"""The standard deviation of each number of the matrix that mixes red, green and blue."""


def picture(texture: Texture, rng: np.random.Generator, size: int) -> npt.NDArray[np.uint8]:
    """Draw an image of a class: uint8 (size, size, 3) RGB.

    `rng` draws all that may differ between two images of one class: place, angle, scale,
    perspective, the scatter of the pattern, a figure's ground, light, colours, blur, noise.
    """
    grid = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)
    x: Map = np.tile(grid, (size, 1))
    y: Map = np.ascontiguousarray(x.T)
    turn, zoom = rng.uniform(-TURN, TURN), float(np.exp(rng.uniform(-ZOOM, ZOOM)))
    image = _surface(texture.pattern, texture.palette, rng, x, y, turn, zoom)
    if texture.outline is not None:
        middle_x, middle_y = rng.uniform(-0.14, 0.14, 2)
        to_x, to_y = x - np.float32(middle_x), y - np.float32(middle_y)
        edge = np.float32(0.32 * zoom) * radius(
            texture.outline, np.arctan2(to_y, to_x) - np.float32(turn)
        )
        inside = np.clip((edge - np.hypot(to_x, to_y)) * size + np.float32(0.5), 0, 1)[..., None]
        ground = _ground(rng, x, y)
        image = ground + inside * (image - ground)
    return _photographed(image, rng, x, y)


def _ground(rng: np.random.Generator, x: Map, y: Map) -> npt.NDArray[np.float32]:
    """Any pattern in any colours, behind a figure."""
    kinds = list(KINDS)
    pattern = draw_pattern(rng, kinds[rng.integers(len(kinds))])
    return _surface(pattern, draw_palette(rng), rng, x, y, 0.0, 1.0)


def _surface(
    pattern: Pattern,
    palette: npt.NDArray[np.float32],
    rng: np.random.Generator,
    x: Map,
    y: Map,
    turn: float,
    zoom: float,
) -> npt.NDArray[np.float32]:
    """A pattern in its colours, float32 (H, W, 3), as it is seen from some place."""
    tilt_x, tilt_y = rng.uniform(-0.35, 0.35, 2).astype(np.float32)
    depth = 1 + tilt_x * x + tilt_y * y
    bend, phase = rng.uniform(0, 0.04), rng.uniform(0, 2 * np.pi, 2).astype(np.float32)
    seen_x = x / depth + np.float32(bend) * np.sin(np.float32(5) * y + phase[0])
    seen_y = y / depth + np.float32(bend) * np.sin(np.float32(5) * x + phase[1])
    angle = pattern.angle + turn
    cells = pattern.frequency / zoom
    wide, long = cells * np.sqrt(pattern.aspect), cells / np.sqrt(pattern.aspect)
    place_u, place_v = rng.uniform(0, PERIOD, 2).astype(np.float32)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u = np.float32(wide) * (cos * seen_x + sin * seen_y) + place_u
    v = np.float32(long) * (cos * seen_y - sin * seen_x) + place_v
    values = pattern.values(Seen(u, v, max(wide, long) / x.shape[1], Lattice(rng)))
    lower = palette[0] + (2 * values[..., None]) * (palette[1] - palette[0])
    upper = palette[1] + (2 * values[..., None] - 1) * (palette[2] - palette[1])
    coloured: npt.NDArray[np.float32] = np.where(values[..., None] < 0.5, lower, upper)
    return coloured


def _photographed(
    image: npt.NDArray[np.float32], rng: np.random.Generator, x: Map, y: Map
) -> npt.NDArray[np.uint8]:
    """Light from one side, a cast of colour, contrast, blur and noise; to 8 bits."""
    mix = np.eye(3) + COLOUR * rng.standard_normal((3, 3))
    gain = np.exp(rng.uniform(-0.6, 0.1))
    slope_x, slope_y = rng.uniform(-0.7, 0.7, 2).astype(np.float32)
    light = np.float32(gain) * (1 + slope_x * x + slope_y * y)
    image = (image @ mix.astype(np.float32)) * light[..., None]
    image = image + np.float32(rng.uniform(-0.08, 0.08))
    side = np.float32(rng.uniform(0, 0.3))
    for axis in (0, 1):
        around = np.roll(image, 1, axis) + np.roll(image, -1, axis)
        image = (1 - 2 * side) * image + side * around
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    image = image + np.float32(rng.uniform(0.005, 0.05)) * noise
    # Brighter than linear, as screens want it.
    shown = np.sqrt(np.clip(image, 0, 1))
    return np.round(255 * shown).astype(np.uint8)
