"""Which people of a population belong to which set: nobody belongs to two.

A population numbers its people from 0 to 2^32 - 1. The first half is for training; the second half
is cut into blocks of 2^24 people, one for each test set. A set takes people from its own block.
"""

import numpy as np

from pocketface.errors import RecipeError

TRAINING = range(2**31)
"""People to learn from."""

_BLOCK = 2**24
# A set's place in this table decides who is in it: new sets are added at the end.
_TEST_SETS = (
    *("lfw", "calfw", "cplfw", "cfp_fp", "cfp_ff", "agedb_30"),
    *("ijbb", "ijbc", "megaface"),
)
_PURPOSE = 3  # a population's own random streams have the purposes 1 and 2


def people_of(name: str, count: int) -> range:
    """The first `count` people of the set `name`. Raises RecipeError if it has fewer."""
    block = TRAINING
    if name != "train":
        first = 2**31 + _TEST_SETS.index(name) * _BLOCK
        block = range(first, first + _BLOCK)
    if count > len(block):
        raise RecipeError(
            f"the set '{name}' has {len(block):,} people at most; {count:,} were asked for. "
            "Choose a smaller scale, or several seeds in folders of their own."
        )
    return block[:count]


def plan_stream(seed: int, name: str) -> np.random.Generator:
    """The random stream that plans the set `name`; no person and no picture draws from it."""
    number = 0 if name == "train" else 1 + _TEST_SETS.index(name)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, _PURPOSE, number])))
