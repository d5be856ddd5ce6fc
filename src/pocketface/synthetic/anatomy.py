"""The features of the average face, pushed out of the featureless template."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pocketface.synthetic.head import MOUTH_Y, template_head
from pocketface.synthetic.sculpt import Push, displacement

Floats = NDArray[np.float64]

_FAR = 60.0

_ANATOMY = (
    # Brow ridge and the hollow between it and the nose.
    Push((24, 19, 90), (20, 8, _FAR), (0, 0, 3.5)),
    Push((44, 17, 75), (14, 8, _FAR), (0.5, 0, 2)),
    Push((0, 22, 95), (12, 10, _FAR), (0, 0, 2.5)),
    # Eye sockets with the eyeballs in them.
    Push((20, 2, 90), (9, 8, _FAR), (0, 0, -7)),
    Push((34, 2, 85), (16, 11, _FAR), (0, 0, -10)),
    Push((51, 0, 75), (10, 10, _FAR), (0, 0, -4.5)),
    Push((31.5, 0, 85), (10, 7, _FAR), (0, 0, 4.5)),
    Push((30, -14, 85), (13, 5, _FAR), (0, 0, -1.5)),
    # Nose: root, bridge, tip, wings, the retreat under it.
    Push((0, 10, 95), (8, 12, _FAR), (0, 0, -1)),
    Push((0, -2, 95), (6.5, 12, _FAR), (0, 0, 4)),
    Push((0, -19, 92), (8, 13, _FAR), (0, 0, 12)),
    Push((0, -35, 92), (10, 9.5, _FAR), (0.8, -0.3, 16)),
    Push((0, -39, 92), (9.5, 6.5, _FAR), (0.6, 0, 3.5)),
    Push((14, -39, 92), (8, 8, _FAR), (3.2, 0, 8.5)),
    Push((0, -51, 92), (13, 4.5, _FAR), (0, 2.0, -3)),
    Push((23, -36, 90), (5, 10, _FAR), (0, 0, -1.5)),
    # Cheekbones, hollows below them, the fold beside the nose.
    Push((46, -20, 75), (17, 12, _FAR), (2, 0, 4.5)),
    Push((62, -14, 40), (20, 12, 40), (2, 0, 1)),
    Push((50, -56, 60), (16, 16, _FAR), (-1.0, 0, -1.5)),
    Push((27, -52, 85), (6, 14, _FAR), (0, 0, -1.5)),
    Push((34, -40, 85), (11, 12, _FAR), (0, 0, 2)),
    # Lips and the groove above them.
    Push((0, -64, 92), (24, 12, _FAR), (0, 0, 3)),
    Push((0, -80, 90), (22, 8, _FAR), (0, 0, 3)),
    Push((6, -68.5, 92), (13, 4, _FAR), (0, 0, 4)),
    Push((0, -77.5, 92), (15, 4.5, _FAR), (0, 0, 4.5)),
    Push((0, -60, 92), (3.5, 7, _FAR), (0, 0, -1.8)),
    Push((26, MOUTH_Y, 85), (6, 6, _FAR), (0, 0, -3)),
    # Chin and jaw.
    Push((0, -89, 88), (17, 6, _FAR), (0, 0, -3)),
    Push((0, -106, 85), (15, 10, _FAR), (0, 0, 6)),
    # Temples.
    Push((66, 28, 45), (14, 22, 25), (-2.5, 0, 0)),
)


@cache
def average_face() -> Floats:
    """Vertices of the average adult face, float64 (V, 3) in mm, for the template's triangles."""
    head = template_head()
    skull = head.ear[:, 0] == 0
    shape = head.base + displacement(head.base, head.lower, _ANATOMY) * skull[:, None]
    inside = head.mouth * np.exp(-((head.base[:, 0] / 23) ** 8)) * (head.base[:, 2] > 0)
    shape[:, 2] -= np.round(14 * inside * 1024) / 1024
    return np.asarray(shape)
