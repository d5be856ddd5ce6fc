"""Endless people from one seed.

Every draw has a random stream of its own, keyed by (seed, purpose, person, image): who a person is
and how a picture was taken can never share a number, and any worker can make any picture alone.
"""

from dataclasses import dataclass

import numpy as np

from pocketface.errors import DataError
from pocketface.synthetic.identity import Identity, draw_identity
from pocketface.synthetic.nuisance import Nuisance, NuisanceRanges

_PURPOSES = {"identity": 1, "nuisance": 2}


@dataclass(frozen=True)
class Population:
    """The people of one `seed` (0 <= seed < 2^32).

    Populations of different seeds share nobody. Raises DataError for a number out of range.
    """

    seed: int

    def __post_init__(self) -> None:
        _check("seed", self.seed)

    def person(self, index: int) -> Identity:
        """The person number `index` (0 <= index < 2^32); always the same one."""
        return draw_identity(self.stream("identity", index))

    def nuisance(self, person: int, image: int, ranges: NuisanceRanges | None = None) -> Nuisance:
        """The circumstances of that person's picture number `image`."""
        return Nuisance.draw(self.stream("nuisance", person, image), ranges)

    def stream(self, purpose: str, person: int, image: int = 0) -> np.random.Generator:
        """The random stream for "identity" or "nuisance" of one person and image."""
        _check("person", person)
        _check("image", image)
        key = np.random.SeedSequence([self.seed, _PURPOSES[purpose], person, image])
        return np.random.Generator(np.random.Philox(key))


def _check(name: str, value: int) -> None:
    if not 0 <= value < 2**32:
        raise DataError(f"{name} must lie in [0, 2^32), got {value}.")
