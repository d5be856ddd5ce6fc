"""The pairs of templates of the 1:1 protocol, in the order in which they are scored fastest.

A pair is one 64-bit number: the place of its first template, that of its second, and whether both
are of one person. Sorted, the numbers run along the rows of the matrix of all similarities, which
is computed strip by strip; equal pairs lie side by side. Templates that stand first in some pair
get the first places: where galleries are compared with probes, only that part of the matrix is
computed.

Shapes: P pairs, T templates.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]

MOST_TEMPLATES = 1 << 31
"""A place takes 31 bits."""

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
        keys: int64 (P,), ascending: first place << 32 | second place << 1 | one person.
        order: int64 (T,), the row of the template at each place.
    """

    keys: Ints
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
        first = np.zeros(templates, np.bool_)
        first[left] = True
        order = np.argsort(~first, kind="stable")
        place = np.empty(templates, np.int64)
        place[order] = np.arange(templates)
        keys = np.empty(len(left), np.int64)
        for start in range(0, len(left), _BLOCK):
            part = slice(start, start + _BLOCK)
            one, two = place[left[part]], place[right[part]]
            key = np.minimum(one, two)
            key <<= 31
            key |= np.maximum(one, two)
            key <<= 1
            key |= same[part]
            keys[part] = key
        if not (keys[1:] >= keys[:-1]).all():
            keys.sort()
        table = cls(keys, order.astype(np.int64))
        table._refuse_duplicates()
        return table

    def __len__(self) -> int:
        return len(self.keys)

    def pair_places(self, pairs: slice | Ints) -> tuple[Ints, Ints]:
        """The places of both templates of some pairs, int64 each."""
        keys = self.keys[pairs]
        return keys >> 32, (keys >> 1) & (MOST_TEMPLATES - 1)

    def pair_rows(self, pairs: slice | Ints) -> tuple[Ints, Ints]:
        """The rows of both templates of some pairs, int64 each."""
        left, right = self.pair_places(pairs)
        return self.order[left], self.order[right]

    def same(self, pairs: slice | Ints) -> npt.NDArray[np.bool_]:
        """Whether some pairs are of one person."""
        return (self.keys[pairs] & 1).astype(np.bool_)

    def genuine(self) -> Ints:
        """The pairs of one person, int64."""
        return np.concatenate(
            [
                start + np.flatnonzero(self.keys[start : start + _BLOCK] & 1)
                for start in range(0, len(self), _BLOCK)
            ]
        )

    def _refuse_duplicates(self) -> None:
        for start in range(0, len(self), _BLOCK):
            pairs = self.keys[start : start + _BLOCK + 1] >> 1
            twice = np.flatnonzero(pairs[1:] == pairs[:-1])
            if len(twice):
                left, right = self.pair_rows(np.array([start + twice[0]]))
                raise DuplicatePairError(int(left[0]), int(right[0]))
