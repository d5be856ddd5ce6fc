"""The similarity of a probe and another image: exact enough that ties are ties.

Every figure rests on float64 dot products of unit vectors, each summed in one order whatever
stands beside it, so no figure depends on the order of rows or on how the work was cut.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CHUNK_BYTES = 1 << 19
"""What a core's own cache holds, and small enough for memory that is there already."""


def similarities(left: Floats, right: Floats) -> Floats:
    """Dot products of the rows of two float64 (N, D) arrays of unit vectors; float64 (N,)."""
    # Not a matrix product: BLAS may sum a row in another order where it lies elsewhere.
    products: Floats = (left * right).sum(axis=1)
    return products


def chunks(count: int, dimension: int) -> list[slice]:
    """Cuts of `count` rows of `dimension` float64 numbers into small pieces."""
    rows = max(1, _CHUNK_BYTES // (8 * dimension))
    return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]


def ordered_pairs(person: Ints) -> tuple[Ints, Ints]:
    """All ordered pairs (enrolled, probe) of two different rows of one person.

    `person` is int64 (P,). Gives two int64 (G,) arrays; the real list has 153,634 pairs.
    """
    enrolled, probe = [], []
    order = np.argsort(person, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(person[order])) + 1):
        first, second = np.meshgrid(rows, rows, indexing="ij")
        different = first != second
        enrolled.append(first[different])
        probe.append(second[different])
    return np.concatenate(enrolled).astype(np.int64), np.concatenate(probe).astype(np.int64)


def genuine_similarities(directions: Floats, enrolled: Ints, probe: Ints) -> Floats:
    """The similarity of each ordered pair, float64 (G,), from unit vectors float64 (P, D)."""
    values = np.empty(len(probe))
    for part in chunks(len(probe), directions.shape[1]):
        values[part] = similarities(directions[enrolled[part]], directions[probe[part]])
    return values
