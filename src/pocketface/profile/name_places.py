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
_LATER = 3.0
"""Square points of overlap that a place further down the list is worth."""

_MARK = 3.0
"""How much worse it is to cover a mark than to cover a name or a line."""

_OUTSIDE = 3.0
"""How much worse it is to leave the frame than to cover something."""


def place_names(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    radius: float,
    lines: Sequence[Box] = (),
) -> list[Place]:
    """Choose a place for each name, so that together they do little harm.

    In some order each in turn takes the best place that the others leave, a few times over; of
    several orders the best outcome is taken. All lengths are in points: `points` (x, y), `sizes`
    (width, height) of the names, `radius` of the marks, and the `frame` in which names ought to
    stay; `lines` are not to be covered either.
    """
    marks = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in points]

    def harm(number: int, place: Place, chosen: Sequence[Place | None]) -> float:
        box = place.box(*points[number], *sizes[number])
        others = [
            other.box(*points[index], *sizes[index])
            for index, other in enumerate(chosen)
            if other is not None and index != number
        ]
        covered = sum(box.overlap(other) for other in (*lines, *others))
        covered += _MARK * sum(box.overlap(mark) for mark in marks)
        outside = box.area - box.overlap(frame)
        return covered + _OUTSIDE * outside + _LATER * PLACES.index(place)

    def settle(order: Sequence[int]) -> tuple[float, list[Place]]:
        chosen: list[Place | None] = [None] * len(points)
        for _ in range(_ROUNDS):
            for number in order:
                chosen[number] = min(PLACES, key=lambda place: harm(number, place, chosen))
        settled = [place or PLACES[0] for place in chosen]
        return sum(harm(number, place, settled) for number, place in enumerate(settled)), settled

    by_x = sorted(range(len(points)), key=lambda number: points[number])
    by_y = sorted(range(len(points)), key=lambda number: points[number][::-1])
    orders = (range(len(points)), by_x, by_x[::-1], by_y, by_y[::-1])
    return min((settle(order) for order in orders), key=lambda outcome: outcome[0])[1]
