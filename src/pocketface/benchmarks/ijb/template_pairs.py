"""The pairs of templates of the 1:1 protocol, in the order in which they are scored fastest.

A pair is one number: the place of its first template, that of its second, and whether both are of
one person; 32 bits hold it for as many templates as IJB-C has, 64 bits for any set. Sorted, the
numbers run along the rows of the matrix of all similarities, which is computed strip by strip;
equal pairs lie side by side. Templates that stand first in some pair get the first places: where
galleries are compared with probes, only that part of the matrix is computed.

Shapes: P pairs, T templates.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint32 | np.uint64]

MOST_TEMPLATES = 1 << 31
"""Two places and one more bit must fit 64 bits."""

_BLOCK = 1 << 20
"""Pairs that are looked at at once: bounds the memory."""


class DuplicatePairError(ValueError):
    """A pair stands twice; `left` and `right` are the rows of its templates."""

    def __init__(self, left: int, right: int) -> None:
        super().__init__(f"templates {left} and {right} are compared twice")
        self.left = left
        self.right = right


@dataclass(frozen=True)
class PairTable:
    """All pairs, sorted.

    Attributes:
        keys: uint32 or uint64 (P,), ascending: from the top, first place, second place, and one
            bit for one person.
        order: int64 (T,), the row of the template at each place.
    """

    keys: Keys
    order: Ints

    @classmethod
    def build(
        cls,
        left: npt.NDArray[np.integer],
        right: npt.NDArray[np.integer],
        same: npt.NDArray[np.bool_],
        templates: int,
    ) -> Self:
        """Index pairs of template rows, int (P,) from 0 to `templates` - 1.

        The order of a pair's two templates, and of the pairs, changes nothing but which template
        has which place. Raises DuplicatePairError.
        """
        bits = _bits(templates)
        kind: type[np.uint32 | np.uint64] = np.uint32 if 2 * bits < 32 else np.uint64
        first = np.zeros(templates, np.bool_)
        first[left] = True
        order = np.argsort(~first, kind="stable")
        place = np.empty(templates, kind)
        place[order] = np.arange(templates, dtype=kind)
        keys = np.empty(len(left), kind)
        for start in range(0, len(left), _BLOCK):
            part = slice(start, start + _BLOCK)
            one, two = place[left[part]], place[right[part]]
            key = np.minimum(one, two)
            key <<= kind(bits)
            key |= np.maximum(one, two, out=one)
            key <<= kind(1)
            key |= same[part]
            keys[part] = key
        if not (keys[1:] >= keys[:-1]).all():
            _sort(keys)
        table = cls(keys, order.astype(np.int64))
        table._refuse_duplicates()
        return table

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def bits(self) -> int:
        """How many bits of a key hold one place."""
        return _bits(len(self.order))

    def begins(self, places: Ints) -> Ints:
        """The first pairs whose first template stands at each of `places` or after it, int64."""
        inside = np.minimum(places, len(self.order) - 1)
        # In the keys' own type; another one would make a copy of all of them.
        keys = (inside << (self.bits + 1)).astype(self.keys.dtype)
        return np.where(places == inside, np.searchsorted(self.keys, keys), len(self))

    def cells(self, pairs: slice | Ints) -> Keys:
        """First place x 2^bits + second place of some pairs."""
        return self.keys[pairs] >> self.keys.dtype.type(1)

    def pair_places(self, pairs: slice | Ints) -> tuple[Ints, Ints]:
        """The places of both templates of some pairs, int64 each."""
        cells = self.cells(pairs).astype(np.int64)
        return cells >> self.bits, cells & ((1 << self.bits) - 1)

    def pair_rows(self, pairs: slice | Ints) -> tuple[Ints, Ints]:
        """The rows of both templates of some pairs, int64 each."""
        left, right = self.pair_places(pairs)
        return self.order[left], self.order[right]

    def same(self, pairs: slice | Ints) -> npt.NDArray[np.bool_]:
        """Whether some pairs are of one person."""
        return (self.keys[pairs] & self.keys.dtype.type(1)).astype(np.bool_)

    def genuine(self) -> Ints:
        """The pairs of one person, int64."""
        return np.concatenate(
            [
                start + np.flatnonzero(self.same(slice(start, start + _BLOCK)))
                for start in range(0, len(self), _BLOCK)
            ]
        )

    def _refuse_duplicates(self) -> None:
        for start in range(0, len(self), _BLOCK):
            pairs = self.cells(slice(start, start + _BLOCK + 1))
            twice = np.flatnonzero(pairs[1:] == pairs[:-1])
            if len(twice):
                left, right = self.pair_rows(np.array([start + twice[0]]))
                raise DuplicatePairError(int(left[0]), int(right[0]))


def _bits(templates: int) -> int:
    """How many bits a place takes."""
    return max(1, (templates - 1).bit_length())


def _sort(keys: Keys) -> None:
    """Sort in place, each half in a thread of its own."""
    middle = len(keys) // 2
    keys.partition(middle)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(half.sort) for half in (keys[:middle], keys[middle:])]:
            done.result()
