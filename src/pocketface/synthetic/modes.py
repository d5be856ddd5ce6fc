"""What makes one person's shape differ from another's: named modes of the template mesh.

Each mode is a smooth displacement for one standard deviation of its coefficient, in mm. The choice
and the sizes are ours, set near the spread of adult faces and a little above it, so that people can
be told apart at 112 pixels. The first ones bend the whole head, the rest one feature each, and the
last ones break the symmetry. Expression and age have modes of their own, apart from identity's.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pocketface.synthetic.head import MOUTH_Y, template_head
from pocketface.synthetic.sculpt import Push, displacement

Floats = NDArray[np.float64]
Pushes = Mapping[str, Sequence[Push]]

_ALL = 400.0  # a reach without a limit
_FAR = 60.0

IDENTITY_SHAPE: Pushes = MappingProxyType(
    {
        # The whole head.
        "head_width": [Push((90, 0, 0), (80, _ALL, _ALL), (4.0, 0, 0))],
        "face_length": [
            Push((0, -130, 60), (_ALL, 70, _ALL), (0, -7.0, 0)),
            Push((0, -40, 60), (_ALL, 40, _ALL), (0, -1.5, 0)),
        ],
        "forehead_height": [Push((0, 130, 40), (_ALL, 60, _ALL), (0, 6.0, 0))],
        "face_taper": [
            Push((75, 45, 20), (50, 45, 90), (3.0, 0, 0)),
            Push((62, -80, 30), (45, 45, 90), (-3.6, 0, 0)),
        ],
        "convexity": [
            Push((0, -45, 90), (50, 40, _FAR), (0, 0, 3.0)),
            Push((0, 60, 90), (70, 40, _FAR), (0, 0, -2.5)),
            Push((0, -112, 85), (30, 22, _FAR), (0, 0, -2.0)),
        ],
        "fullness": [
            Push((48, -48, 60), (22, 28, 50), (3.6, 0, 3.0)),
            Push((40, -95, 45), (28, 22, 45), (3.0, -2.5, 1.0)),
            Push((0, -122, 50), (30, 16, 40), (0, -3.5, 0)),
            Push((60, -135, -20), (40, 30, 50), (3.5, 0, 2)),
        ],
        "dimorphism": [
            Push((58, -70, 18), (22, 30, 50), (2.6, -1.0, 0)),
            Push((22, 19, 92), (24, 9, _FAR), (0, -0.8, 2.3)),
            Push((0, -106, 85), (20, 14, _FAR), (1.8, -2.0, 1.5)),
            Push((0, -30, 92), (10, 26, _FAR), (0.8, -0.8, 1.6)),
            Push((0, -74, 92), (22, 7, _FAR), (0, 0, -1.2)),
            Push((60, -140, -20), (40, 35, 60), (4.0, 0, 0)),
            Push((0, 50, 92), (60, 22, _FAR), (0, 0, -1.5)),
        ],
        # Jaw and chin.
        "jaw_width": [Push((60, -68, 20), (24, 34, 55), (4.0, 0, 0))],
        "jaw_height": [Push((56, -74, 15), (22, 24, 42), (0.8, -4.5, 0))],
        "jaw_line": [Push((40, -92, 50), (16, 14, 30), (2.6, -2.6, 0))],
        "chin_width": [Push((22, -108, 78), (14, 14, 30), (3.4, 0, 0.8))],
        "chin_length": [Push((0, -118, 78), (26, 16, 40), (0, -4.2, 0))],
        "chin_forward": [Push((0, -108, 85), (22, 16, _FAR), (0, 0, 4.0))],
        "chin_cleft": [
            Push((0, -107, 85), (4.5, 9, _FAR), (0, 0, -1.8)),
            Push((11, -107, 85), (7, 9, _FAR), (0, 0, 1.2)),
        ],
        "jaw_forward": [Push((0, -95, 80), (42, 32, _FAR), (0, 0, 3.2))],
        # Cheeks.
        "cheekbone_width": [Push((64, -14, 40), (22, 20, 45), (3.6, 0, 0))],
        "cheekbone_forward": [Push((44, -20, 78), (18, 14, _FAR), (0.8, 0, 3.4))],
        "cheekbone_height": [
            Push((46, -10, 75), (18, 9, _FAR), (0.6, 0, 2.6)),
            Push((46, -32, 75), (18, 10, _FAR), (0, 0, -2.4)),
        ],
        "cheek_hollow": [Push((48, -54, 60), (15, 17, 45), (-2.4, 0, -3.4))],
        "midface": [Push((26, -32, 88), (14, 18, _FAR), (0, 0, 2.8))],
        # Forehead and temples.
        "forehead_slope": [Push((0, 72, 85), (60, 30, _FAR), (0, 0, -6.0))],
        "forehead_bulge": [Push((0, 52, 95), (38, 20, _FAR), (0, 0, 2.8))],
        "forehead_width": [Push((68, 50, 40), (25, 28, 50), (3.4, 0, 1.0))],
        "temple_hollow": [Push((64, 24, 45), (14, 18, 25), (-2.6, 0, -1.0))],
        "brow_ridge": [Push((22, 19, 92), (22, 8, _FAR), (0, 0, 2.8))],
        "brow_height": [Push((30, 20, 85), (26, 11, _FAR), (0, 3.0, 0))],
        "glabella": [Push((0, 20, 95), (9, 10, _FAR), (0, 0, 2.2))],
        # Eyes.
        "eye_spacing": [Push((31.5, 3, 85), (26, 18, _FAR), (2.4, 0, 0))],
        "eye_height": [Push((31.5, 0, 85), (28, 14, _FAR), (0, 2.0, 0))],
        "eye_depth": [Push((31, 1, 85), (17, 11, _FAR), (0, 0, -3.0))],
        "eye_width": [
            Push((45, 0, 80), (9, 11, _FAR), (1.7, 0, 0)),
            Push((18, 0, 88), (8, 11, _FAR), (-1.3, 0, 0)),
        ],
        "eye_tilt": [
            Push((45, 2, 78), (11, 12, _FAR), (0, 1.9, 0)),
            Push((18, 0, 88), (9, 11, _FAR), (0, -1.3, 0)),
        ],
        "eye_bag": [Push((31, -13, 86), (13, 5.5, _FAR), (0, 0, 1.8))],
        "upper_lid": [Push((36, 10, 84), (16, 6, _FAR), (0, -0.8, 2.2))],
        # Nose.
        "nose_length": [
            Push((0, -44, 92), (19, 15, _FAR), (0, -3.6, 0)),
            Push((0, -22, 92), (14, 14, _FAR), (0, -1.6, 0)),
        ],
        "nose_width": [Push((14, -41, 92), (10, 11, _FAR), (2.6, 0, -0.4))],
        "nose_tip_width": [Push((7, -36, 92), (7, 9, _FAR), (1.9, 0, 0.3))],
        "nose_bridge_width": [Push((9, -10, 92), (8, 18, _FAR), (1.8, 0, 1.0))],
        "nose_forward": [Push((0, -34, 92), (12, 17, _FAR), (0, 0, 3.6))],
        "nose_bridge_height": [Push((0, -6, 94), (9, 15, _FAR), (0, 0, 3.2))],
        "nose_hump": [
            Push((0, -15, 93), (8, 9, _FAR), (0, 0, 2.6)),
            Push((0, -34, 93), (9, 8, _FAR), (0, -0.6, -0.6)),
        ],
        "nose_tip_up": [
            Push((0, -38, 92), (10, 10, _FAR), (0, 3.2, 0.8)),
            Push((0, -47, 92), (10, 6, _FAR), (0, 1.0, 0.8)),
        ],
        "nose_wing_height": [Push((15, -42, 92), (8, 8, _FAR), (0, 2.6, 0))],
        "nostril_flare": [Push((14, -42, 92), (6, 6, _FAR), (1.6, 0, 2.2))],
        "nasion_depth": [Push((0, 5, 95), (10, 9, _FAR), (0, 0, -2.6))],
        # Mouth.
        "mouth_width": [Push((25, MOUTH_Y, 85), (12, 13, _FAR), (3.0, 0, -0.6))],
        "mouth_height": [Push((0, MOUTH_Y, 88), (36, 17, _FAR), (0, 2.8, 0))],
        "mouth_forward": [Push((0, -71, 90), (24, 15, _FAR), (0, 0, 3.2))],
        "upper_lip_full": [
            Push((6, -69, 92), (15, 5, _FAR), (0, 0, 1.9)),
            Push((0, -66, 92), (18, 4, _FAR), (0, 1.0, 0.4)),
        ],
        "lower_lip_full": [
            Push((0, -77.5, 92), (15, 5, _FAR), (0, 0, 2.1)),
            Push((0, -83, 90), (17, 4, _FAR), (0, -1.2, 0.3)),
        ],
        "mouth_corners": [Push((27, -72, 85), (10, 9, _FAR), (0, 1.8, 0))],
        "philtrum": [
            Push((0, -60, 92), (4, 8, _FAR), (0, 0, -1.1)),
            Push((6, -60, 92), (4, 8, _FAR), (0, 0, 0.8)),
        ],
        "lip_chin_fold": [Push((0, -90, 88), (18, 6, _FAR), (0, 0, -2.4))],
        "cheek_fold": [
            Push((26, -56, 86), (6, 15, _FAR), (0, 0, -1.5)),
            Push((35, -58, 82), (8, 15, _FAR), (0, 0, 1.6)),
        ],
        # Ears and neck.
        "ear_size": [
            Push((80, 18, -18), (18, 20, 30), (0.8, 3.2, -1.6)),
            Push((74, -42, -12), (14, 16, 30), (0.4, -3.6, 0)),
        ],
        "ear_out": [Push((92, -4, -30), (16, 45, 26), (4.6, 0, 1.6))],
        "ear_lobe": [Push((68, -40, 0), (12, 11, 26), (1.2, -2.6, 0))],
        "neck_width": [Push((62, -140, -15), (40, 35, 60), (5.0, 0, 2.5))],
        # What is not symmetric.
        "nose_bent": [Push((0, -34, 92), (14, 20, _FAR), (2.2, 0, 0), side=-2)],
        "jaw_shift": [Push((0, -112, 80), (50, 34, 80), (2.6, 0, 0), side=-2)],
        "eyes_uneven": [Push((32, 2, 85), (22, 13, _FAR), (0, 1.1, 0), side=-2)],
        "brows_uneven": [Push((32, 20, 85), (24, 9, _FAR), (0, 1.6, 0), side=-2)],
        "mouth_uneven": [Push((24, MOUTH_Y, 85), (18, 13, _FAR), (0, 1.5, 0), side=-2)],
        "cheeks_uneven": [Push((50, -45, 60), (25, 34, 50), (0, 0, 1.9), side=-2)],
    }
)
"""Modes of identity, mm for one standard deviation."""

EXPRESSION: Pushes = MappingProxyType(
    {
        "smile": [
            Push((27, -71, 85), (12, 13, _FAR), (5.5, 5.0, -3.5)),
            Push((40, -34, 80), (15, 13, _FAR), (1.0, 4.0, 3.2)),
            Push((0, -70, 92), (18, 6, _FAR), (0, 1.2, -1.8), lip=1),
            Push((0, -77, 92), (18, 7, _FAR), (0, -0.6, -2.0), lip=-1),
            Push((24, -46, 88), (7, 10, _FAR), (0.8, 1.2, -1.4)),
            Push((15, -42, 92), (8, 8, _FAR), (1.3, 0.6, 0)),
        ],
        "pucker": [
            Push((25, MOUTH_Y, 85), (13, 12, _FAR), (-6.0, 0, 0.5)),
            Push((0, MOUTH_Y, 92), (15, 13, _FAR), (0, 0, 4.0)),
        ],
        "corners_down": [
            Push((27, -73, 85), (10, 10, _FAR), (0.4, -3.6, 0)),
            Push((0, -97, 88), (16, 8, _FAR), (0, 1.4, 1.2)),
        ],
        "brow_raise": [
            Push((28, 22, 85), (26, 11, _FAR), (0, 4.4, 0)),
            Push((0, 44, 95), (46, 16, _FAR), (0, 2.0, 0)),
        ],
        "brow_frown": [
            Push((14, 18, 92), (12, 9, _FAR), (-2.0, -2.6, 1.0)),
            Push((30, 19, 85), (14, 8, _FAR), (0, -1.2, 0)),
        ],
        "upper_lip_raise": [
            Push((0, -69, 92), (20, 9, _FAR), (0, 4.0, 0.4), lip=1),
            Push((18, -46, 90), (10, 10, _FAR), (0.4, 1.6, 0)),
        ],
        "half_smile": [Push((27, -71, 85), (13, 13, _FAR), (0, 2.4, 0), side=-2)],
    }
)
"""Modes of expression, mm at full strength; the jaw is a rotation of its own (`jaw_drop`)."""

AGE: Pushes = MappingProxyType(
    {
        "sag": [
            Push((42, -92, 50), (15, 12, 30), (2.2, -4.0, 0.6)),
            Push((44, -40, 75), (16, 16, _FAR), (0, -2.2, -0.6)),
            Push((0, -42, 92), (14, 10, _FAR), (0.8, -2.4, -0.4)),
            Push((27, -76, 85), (9, 9, _FAR), (0, -1.5, 0)),
            Push((40, 12, 82), (15, 8, _FAR), (0, -1.9, 0.7)),
            Push((0, -124, 50), (28, 16, 36), (0, -4.5, 0)),
            Push((70, -42, -5), (14, 14, 30), (0.8, -4.0, 0)),
        ],
        "gaunt": [
            Push((50, -52, 60), (15, 17, 45), (-2.6, 0, -3.4)),
            Push((66, 25, 45), (14, 18, 25), (-2.6, 0, -1.0)),
            Push((31, 4, 85), (16, 10, _FAR), (0, 0, -1.6)),
            Push((0, -73, 92), (18, 8, _FAR), (0, 0, -2.0)),
        ],
        "heavy": [
            Push((50, -50, 55), (24, 30, 50), (4.5, 0, 3.2)),
            Push((40, -98, 42), (28, 20, 45), (4.0, -3.0, 1.0)),
            Push((0, -126, 48), (32, 18, 42), (0, -6.0, 0)),
            Push((62, -135, -20), (40, 32, 50), (6.0, 0, 3.0)),
        ],
        "eye_bags": [
            Push((31, -12, 86), (12, 4.5, _FAR), (0, 0, 2.0)),
            Push((30, -19, 86), (14, 4, _FAR), (0, 0, -1.2)),
        ],
        "youth": [
            Push((0, -120, 70), (60, 50, _ALL), (0, 7.0, 0)),
            Push((54, -75, 20), (24, 24, 45), (-3.5, 2.0, 0)),
            Push((0, -34, 92), (17, 24, _FAR), (0, 2.2, -3.4)),
            Push((14, -38, 92), (9, 12, _FAR), (-1.4, 0, 0)),
            Push((44, -42, 75), (20, 20, _FAR), (1.4, 0, 2.4)),
            Push((22, 19, 92), (24, 10, _FAR), (0, 1.0, -2.4)),
            Push((0, 60, 92), (60, 30, _FAR), (0, 0, 2.5)),
            Push((60, -140, -20), (40, 35, 60), (-6.0, 0, 0)),
        ],
    }
)
"""Modes of age, mm at full strength; each person's trajectory says how much of each."""

WORN: Pushes = MappingProxyType(
    {
        "mask": [
            Push((17, -36, 90), (11, 14, _FAR), (0, 0, 7.0)),
            Push((0, -54, 92), (16, 8, _FAR), (0, 0, 13.0)),
            Push((0, -72, 92), (34, 12, _FAR), (0, 0, 7.0)),
            Push((0, -90, 88), (26, 9, _FAR), (0, 0, 9.0)),
            Push((32, -66, 80), (15, 26, _FAR), (0, 0, 6.0)),
        ],
    }
)
"""Cloth that stands off the face, mm."""

_KINDS = {"identity": IDENTITY_SHAPE, "expression": EXPRESSION, "age": AGE, "worn": WORN}


@cache
def mode_matrix(kind: str) -> Floats:
    """The modes of "identity", "expression", "age" or "worn" in the order named.

    Rows float64 (K, 3 * V): x of all vertices first, in mm.
    """
    pushes = _KINDS[kind]
    head = template_head()
    return np.stack(
        [displacement(head.base, head.lower, mode).T.reshape(-1) for mode in pushes.values()]
    )


@cache
def jaw_weight() -> Floats:
    """How much of the jaw's rotation each vertex follows, float64 (V,) in [0, 1].

    The lips part at the mouth line; on the cheeks the skin stretches smoothly.
    """
    head = template_head()
    x, y, z = head.base.T
    front = np.clip((z + 5) / 40, 0, 1)
    stretch = _smooth((-48 - y) / 42)
    parted = np.where(head.lower, 0.9 + 0.1 * _smooth((MOUTH_Y - y) / 20), 0.0)
    near_mouth = 1 - _smooth((np.abs(x) - 15) / 11)
    near_mouth *= _smooth((y + 100) / 20) * _smooth((-52 - y) / 14)
    weight = stretch + (parted - stretch) * near_mouth
    neck = _smooth((y + 165) / 45)
    weight = weight * front * neck * (head.ear[:, 0] == 0)
    return np.asarray(np.round(weight * 2**16) / 2**16)


def _smooth(t: Floats) -> Floats:
    """The cubic step from 0 at t <= 0 to 1 at t >= 1."""
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
