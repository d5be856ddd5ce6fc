"""Where names stand beside their points, so that they cover neither points nor each other."""

from collections.abc import Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle, in any unit of length."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: "Box") -> float:
        """The area that both cover."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(wide, 0.0) * max(high, 0.0)

    @property
    def area(self) -> float:
        """What it covers."""
        return (self.right - self.left) * (self.top - self.bottom)


class Place(NamedTuple):
    """Where a name stands: its shift from the point, in points, and how it is aligned there."""

    right: float
    up: float
    horizontal: str
    vertical: str

    def box(self, x: float, y: float, width: float, height: float) -> Box:
        """What a name of this size at this place covers."""
        x, y = x + self.right, y + self.up
        left = x - {"left": 0.0, "center": width / 2, "right": width}[self.horizontal]
        bottom = y - {"bottom": 0.0, "center": height / 2, "top": height}[self.vertical]
        return Box(left, bottom, left + width, bottom + height)


PLACES = tuple(
    Place(*place)
    for place in (
        (8, 0, "left", "center"),
        (-8, 0, "right", "center"),
        (0, 7, "center", "bottom"),
        (0, -7, "center", "top"),
        (6, 5, "left", "bottom"),
        (6, -5, "left", "top"),
        (-6, 5, "right", "bottom"),
        (-6, -5, "right", "top"),
        (6, 13, "left", "bottom"),
        (6, -13, "left", "top"),
        (-6, 13, "right", "bottom"),
        (-6, -13, "right", "top"),
    )
)
"""The places that are tried, the best first."""

_ROUNDS = 4
_LATER = 1.0
"""Square points of overlap that a place further down the list is worth."""

_OUTSIDE = 3.0
"""How much worse it is to leave the frame than to cover something."""


def place_names(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    radius: float,
    lines: Sequence[Box] = (),
) -> list[Place]:
    """Choose a place for each name: each in turn takes the best that the others leave.

    All lengths are in points: `points` (x, y), `sizes` (width, height) of the names, `radius` of
    the marks, and the `frame` in which names ought to stay; `lines` are not to be covered either.
    """
    marks = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in points]
    chosen: list[Place | None] = [None] * len(points)

    def harm(number: int, place: Place) -> float:
        box = place.box(*points[number], *sizes[number])
        others = [
            other.box(*points[index], *sizes[index])
            for index, other in enumerate(chosen)
            if other is not None and index != number
        ]
        covered = sum(box.overlap(other) for other in (*marks, *lines, *others))
        outside = box.area - box.overlap(frame)
        return covered + _OUTSIDE * outside + _LATER * PLACES.index(place)

    for _ in range(_ROUNDS):
        for number in range(len(points)):
            chosen[number] = min(PLACES, key=lambda place: harm(number, place))
    return [place or PLACES[0] for place in chosen]
