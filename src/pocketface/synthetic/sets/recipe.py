"""What every set of synthetic people looks like to those who make it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pocketface.synthetic.sets.shot import Picture, Shot


class SetPlan(Protocol):
    """The pictures of one set and how they become its files."""

    @property
    def shots(self) -> Sequence[Shot]:
        """What to take."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """How large the set is: people, images, pairs..., for a person to read."""
        ...

    def write(self, target: Path, pictures: Sequence[Picture]) -> None:
        """Write the set as the file or folder `target` from the pictures of `shots`."""
        ...


class SetRecipe(Protocol):
    """A set that can be made: with a seed it says everything about every byte."""

    @property
    def name(self) -> str:
        """What it is called in a command."""
        ...

    @property
    def output(self) -> str:
        """The file or folder that it becomes."""
        ...

    @property
    def options(self) -> Mapping[str, int | float | str]:
        """Everything but the seed that changes it."""
        ...

    def plan(self, seed: int) -> SetPlan:
        """Decide who is in it and how each picture is taken."""
        ...
