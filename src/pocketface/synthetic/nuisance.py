"""Everything that differs between two pictures of one person, drawn apart from who the person is.

A draw always takes the same number of random numbers in the same order, whatever the ranges, and
maps them through the ranges afterwards: with one seed, widening the range of one factor changes
that factor alone, so that accuracy can be measured against it with everything else held.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketface.errors import DataError
from pocketface.synthetic.scenery import BLOBS, LIGHTS, draw_backdrop, draw_camera, draw_light

GLASSES = ("none", "thin", "thick", "sun")


@dataclass(frozen=True)
class Spread:
    """A normal distribution cut at two ends: `centre`, `deviation`, `low`, `high`."""

    centre: float
    deviation: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high or self.deviation < 0:
            raise DataError(
                f"a spread needs low <= high and deviation >= 0, got low {self.low}, high "
                f"{self.high}, deviation {self.deviation}."
            )

    def at(self, normal: float) -> float:
        """Map a standard normal number."""
        return float(min(max(self.centre + self.deviation * normal, self.low), self.high))


@dataclass(frozen=True)
class NuisanceRanges:
    """How strongly pictures differ. The defaults are near those of press photographs.

    Angles in degrees, `distance` of the camera in mm, `age` in years, `blur` in pixels of a
    112-pixel crop, `resolution` in pixels across the crop before it was enlarged, `noise` in grey
    levels; the fields that begin with `chance_` are probabilities.
    """

    yaw: Spread = Spread(0, 19, -55, 55)
    pitch: Spread = Spread(0, 8.5, -28, 28)
    roll: Spread = Spread(0, 6, -25, 25)
    distance: Spread = Spread(1500, 600, 500, 4000)
    landmark_jitter: Spread = Spread(1.9, 0.6, 0.0, 4.5)
    expression: float = 1.0
    chance_smile: float = 0.55
    chance_open: float = 0.35
    chance_blink: float = 0.06
    age: Spread = Spread(44, 14, 18, 80)
    hair_change: float = 0.35
    chance_dye: float = 0.06
    chance_hat: float = 0.05
    chance_glasses_change: float = 0.15
    chance_mask: float = 0.0
    makeup: float = 1.0
    light: float = 1.0
    exposure: Spread = Spread(0.0, 0.18, -1.0, 0.9)
    tint: float = 1.0
    chance_grey: float = 0.02
    blur: Spread = Spread(0.75, 0.3, 0.55, 3.5)
    resolution: Spread = Spread(140, 40, 36, 112)
    noise: Spread = Spread(1.5, 1.5, 0.0, 14.0)
    jpeg: Spread = Spread(80, 12, 20, 98)


FRONTAL = NuisanceRanges(yaw=Spread(0, 7, -15, 15), pitch=Spread(0, 5, -12, 12))
"""Press photographs that look into the camera."""

PROFILE = NuisanceRanges(yaw=Spread(78, 8, 60, 90), pitch=Spread(0, 5, -12, 12))
"""Press photographs from the subject's side; `draw` turns half of them to the other side."""


@dataclass(frozen=True)
class Nuisance:
    """One picture's circumstances; every field's unit is that of `NuisanceRanges`.

    `yaw` > 0 turns the face to the viewer's right, `pitch` > 0 lifts it, `roll` > 0 tilts it
    clockwise. Strengths of expression lie in [0, 1] (`half_smile` and the gaze in [-1, 1]).
    Three lights have a direction (towards the light), a linear colour and a softness.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    distance: float = 1500.0
    landmark_shift: NDArray[np.float64] = field(default_factory=lambda: np.zeros((5, 2)))
    body_turn: float = 0.0
    # Expression.
    jaw: float = 0.0
    smile: float = 0.0
    pucker: float = 0.0
    corners_down: float = 0.0
    brow_raise: float = 0.0
    brow_frown: float = 0.0
    upper_lip_raise: float = 0.0
    half_smile: float = 0.0
    blink: float = 0.0
    squint: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    # The person on that day.
    age: float = 40.0
    hair_change: float = 0.0
    hair_length: float = 0.0
    hair_fringe: float = 0.0
    hair_volume: float = 0.0
    hair_part: float = 0.0
    hair_wave: float = 0.0
    hair_dye: float = -1.0
    hat: float = 0.0
    hat_colour: NDArray[np.float64] = field(default_factory=lambda: np.full(3, 0.1))
    beard_change: float = 0.0
    glasses_change: float = 0.0
    glasses_draw: float = 0.0
    glasses_size: float = 0.0
    glasses_colour: NDArray[np.float64] = field(default_factory=lambda: np.full(3, 0.02))
    mask: float = 0.0
    mask_colour: NDArray[np.float64] = field(default_factory=lambda: np.array([0.5, 0.7, 0.8]))
    makeup: float = 0.0
    flush: float = 0.0
    clothes: NDArray[np.float64] = field(default_factory=lambda: np.array([0.03, 0.03, 0.05]))
    collar: float = 0.0
    # Light.
    sky: NDArray[np.float64] = field(default_factory=lambda: np.full(3, 0.35))
    ground: NDArray[np.float64] = field(default_factory=lambda: np.full(3, 0.2))
    light_from: NDArray[np.float64] = field(
        default_factory=lambda: np.array([[0.3, 0.4, 0.87], [-0.6, 0.2, 0.77], [0.0, 0.5, -0.87]])
    )
    light_colour: NDArray[np.float64] = field(
        default_factory=lambda: np.array([[0.7] * 3, [0.15] * 3, [0.0] * 3])
    )
    light_soft: NDArray[np.float64] = field(default_factory=lambda: np.full(LIGHTS, 0.2))
    shine: float = 0.3
    # Background: colours, then soft shapes (x, y, angle, size, aspect, softness, r, g, b).
    backdrop: NDArray[np.float64] = field(default_factory=lambda: np.full((2, 3), 0.4))
    blobs: NDArray[np.float64] = field(default_factory=lambda: np.zeros((BLOBS, 9)))
    clutter: float = 0.0
    # The camera's picture.
    exposure: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    tint: NDArray[np.float64] = field(default_factory=lambda: np.ones(3))
    grey: float = 0.0
    blur: float = 0.5
    resolution: float = 112.0
    noise: float = 0.0
    jpeg: float = 92.0
    plate_offset: NDArray[np.int64] = field(default_factory=lambda: np.zeros(8, dtype=np.int64))

    def but(self, **changes: Any) -> "Nuisance":
        """The same circumstances with some fields replaced.

        Raises DataError for a field that does not exist.
        """
        allowed = {f.name for f in fields(self)}
        for name in changes:
            if name not in allowed:
                raise DataError(f"a nuisance has no field {name!r}; it has {sorted(allowed)}.")
        return replace(self, **changes)

    @classmethod
    def draw(cls, rng: np.random.Generator, ranges: NuisanceRanges | None = None) -> "Nuisance":
        """Draw one picture's circumstances from a random stream of its own."""
        r = ranges or NuisanceRanges()
        n = iter(np.clip(rng.standard_normal(80), -3.0, 3.0).tolist())
        u = iter(rng.random(80).tolist())

        def chance(p: float) -> bool:
            return bool(next(u) < p)

        def colour(low: float, high: float, chroma: float) -> NDArray[np.float64]:
            base = low * (high / low) ** next(u)
            shift = np.array([next(n), next(n), next(n)])
            return np.asarray(np.clip(base * np.exp(chroma * shift), 0.0, 1.0))

        turned = r.yaw.at(next(n))
        if chance(0.5):
            turned = -turned
        e = r.expression
        pose = {
            "yaw": turned,
            "pitch": r.pitch.at(next(n)),
            "roll": r.roll.at(next(n)),
            "distance": r.distance.at(next(n)),
            "landmark_shift": r.landmark_jitter.at(next(n))
            * np.array([[next(n), next(n)] for _ in range(5)]),
            "body_turn": 12 * next(n),
        }
        smiles, opens, blinks = (
            chance(r.chance_smile),
            chance(r.chance_open),
            chance(r.chance_blink),
        )
        smile = smiles * (0.3 + 0.7 * next(u))
        jaw = opens * next(u) ** 1.5
        expression = {
            "smile": e * smile,
            "jaw": e * max(jaw, (0.12 + 0.33 * next(u)) * (smile > 0.5)),
            "pucker": e * max(0.0, 0.3 * next(n) - 0.15) * (not smiles),
            "corners_down": e * max(0.0, 0.4 * next(n)) * (not smiles),
            "brow_raise": e * max(0.0, 0.45 * next(n)),
            "brow_frown": e * max(0.0, 0.45 * next(n)),
            "upper_lip_raise": e * min(max(0.0, 0.35 * next(n)) + 0.45 * smile * next(u), 1.0),
            "half_smile": e * 0.3 * next(n),
            "blink": e * (0.5 + 0.5 * next(u)) * blinks,
            "squint": e * min(max(0.0, 0.3 * next(n) + 0.1) + 0.5 * smile * next(u), 0.9),
            "gaze_x": min(max(0.5 * next(n), -1.0), 1.0),
            "gaze_y": min(max(0.2 * next(n), -1.0), 1.0),
        }
        day = {
            "age": r.age.at(next(n)),
            "hair_change": min(r.hair_change * (0.3 + 1.4 * next(u)), 1.0),
            "hair_length": next(n),
            "hair_fringe": next(n),
            "hair_volume": next(n),
            "hair_part": next(n),
            "hair_wave": next(n),
            "hair_dye": (-1.0, next(u))[chance(r.chance_dye)],
            "hat": float(chance(r.chance_hat)) * (0.4 + 0.6 * next(u)),
            "hat_colour": colour(0.02, 0.6, 0.5),
            "beard_change": next(n) * (0.4 + r.hair_change),
            "glasses_change": float(chance(r.chance_glasses_change)),
            "glasses_draw": next(u),
            "glasses_size": next(n),
            "glasses_colour": colour(0.01, 0.2, 0.4),
            "mask": float(chance(r.chance_mask)),
            "mask_colour": colour(0.05, 0.8, 0.12),
            "makeup": r.makeup * next(u),
            "flush": 0.5 * next(n),
            "clothes": colour(0.008, 0.6, 0.3),
            "collar": next(u),
        }
        rest = draw_light(n, u, r.light) | draw_backdrop(n, u, rng) | draw_camera(n, u, r)
        rest["plate_offset"] = np.array([int(256 * next(u)) for _ in range(8)], dtype=np.int64)
        return cls(**pose, **expression, **day, **rest)
