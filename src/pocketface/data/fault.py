"""A named fault: what a reader had to leave out of a data set, and why."""

from typing import NamedTuple


class Fault(NamedTuple):
    """One entry that could not be used. `name` is relative to the data set, `reason` one clause."""

    name: str
    reason: str
