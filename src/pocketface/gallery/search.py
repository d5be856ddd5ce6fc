"""The most similar people, exactly, at the price of one matrix product.

The templates are compared in float32, block by block; of the scores only the highest of each
`PIECE` neighbouring rows is kept. The k-th highest of these maxima is a floor that the k-th highest
score cannot lie below, up to the product's rounding, which is bounded. So the few pieces that reach
the floor are looked at again in float64, and what is told are those figures. A person has several
templates and some rows belong to nobody: where too few people come out, the floor is lowered.

Shapes: N rows (templates, with gaps), D numbers of an embedding, Q queries.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketface.embedding.unit import quick_products

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PIECE = 64
"""Rows that are looked at again together."""

_SCORES_AT_ONCE = 1 << 21
"""Scores of one block: 8 MB, which stay in the processor's cache."""

_MOST_WIDENED = 1 << 15
"""Rows of one block of float16, which is widened to float32 first: 16 MB of 128 numbers."""

_WIDENED_AT_ONCE = 1 << 12
"""Rows that are widened in one go, so that they stay in the processor's cache."""

_WIDENING = 112
"""`_widen` gives its numbers 2^112 times too small: the distance of the two exponents' biases."""

_LOWER = 8
"""How many more pieces are looked at where too few people came out."""


class Found(NamedTuple):
    """People, the most similar first, each with the row of the template that is meant.

    `person` and `row` are int64 (P,), `similarity` float64 (P,). There may be more than asked for:
    everybody who is as similar as the last one.
    """

    person: Ints
    row: Ints
    similarity: Floats


def search(
    rows: npt.NDArray[np.floating],
    person: Ints,
    queries: Floats,
    k: int,
    exact_rows: Callable[[Ints], npt.NDArray[np.floating]] | None = None,
) -> list[Found]:
    """The `k` people most similar to each query, with all who equal the last.

    Args:
        rows: float32 or float16 (N, D), each of unit length or anything where nobody's.
        person: int64 (N,), whose row it is; 0 for nobody's.
        queries: float64 (Q, D), unit vectors.
        k: at least 1.
        exact_rows: gives float (n, D) for row numbers (n,), where `rows` are rounded from others
            and those are meant; the rounding must be float16's.
    """
    if not len(rows) or not person.any():
        return [_nobody() for _ in queries]
    error = _error_bound(rows)
    maxima = _piece_maxima(rows, queries)
    return [
        _best(rows, person, query, column, k, error, exact_rows)
        for query, column in zip(queries, maxima.T, strict=True)
    ]


def similarities(rows: npt.NDArray[np.floating], query: Floats) -> Floats:
    """The dot products of rows (n, D) with one query (D,) in float64, each summed in one order."""
    products: Floats = (np.asarray(rows, np.float64) * query).sum(axis=1)
    return products


def _piece_maxima(rows: npt.NDArray[np.floating], queries: Floats) -> npt.NDArray[np.float32]:
    """The highest score of each piece, float32 (pieces, Q)."""
    columns = np.ascontiguousarray(queries.T, np.float32)
    count = len(queries)
    most = _SCORES_AT_ONCE // count
    narrow = rows.dtype == np.float16
    if narrow:
        most = min(most, _WIDENED_AT_ONCE if count == 1 else _MOST_WIDENED)
        columns *= np.float32(2.0**_WIDENING)
    size = max(PIECE, most // PIECE * PIECE)
    wide = np.empty((min(size, len(rows)) if narrow else 0, rows.shape[1]), np.float32)
    maxima = np.empty((-(-len(rows) // PIECE), count), np.float32)
    buffer = np.empty((min(size, len(rows)), count), np.float32)
    for start in range(0, len(rows), size):
        block: npt.NDArray[np.floating] = rows[start : start + size]
        if narrow:
            block = _widen(block, wide[: len(block)])
        scores = buffer[: len(block)]
        if narrow and count == 1:
            # A dot product for each row: the threads of a product as small as this would wait for
            # each other, far longer than it takes where the machine is busy.
            quick_products(block[:, None, :], columns, scores[:, :, None])
        else:
            quick_products(block, columns, scores)
        first, whole = start // PIECE, len(block) // PIECE
        pieces = scores[: whole * PIECE].reshape(whole, PIECE, count)
        pieces.max(axis=1, out=maxima[first : first + whole])
        if whole * PIECE < len(block):
            maxima[first + whole] = scores[whole * PIECE :].max(axis=0)
    return maxima


def _widen(rows: npt.NDArray[np.floating], out: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Finite float16 `rows` in `out`, times 2^-112: eight times as quick as NumPy's conversion.

    The sign stays at the top, exponent and fraction move to where float32 has them; the exponent's
    bias is left as it was. What is infinite becomes some number.
    """
    for start in range(0, len(rows), _WIDENED_AT_ONCE):
        part = slice(start, start + _WIDENED_AT_ONCE)
        bits = out[part].view(np.int32)
        np.copyto(bits, rows[part].view(np.int16))
        np.left_shift(bits, 13, out=bits)
        np.bitwise_and(bits, np.int32(-0x70000001), out=bits)
    return out


def _best(
    rows: npt.NDArray[np.floating],
    person: Ints,
    query: Floats,
    maxima: npt.NDArray[np.float32],
    k: int,
    error: float,
    exact_rows: Callable[[Ints], npt.NDArray[np.floating]] | None,
) -> Found:
    """One query's people."""
    taken = k
    while True:
        if taken < len(maxima):
            # At least `taken` rows score as much; exactly computed they lose at most the error.
            floor = float(np.partition(maxima, len(maxima) - taken)[len(maxima) - taken]) - error
            pieces = np.flatnonzero(maxima >= floor - error)
        else:
            floor, pieces = -np.inf, np.arange(len(maxima))
        found = _people(rows, person, query, pieces, floor, error, exact_rows)
        if len(found.person) >= k or floor == -np.inf:
            last = found.similarity[min(k, len(found.person)) - 1] if len(found.person) else 0.0
            kept = found.similarity >= last
            return Found(found.person[kept], found.row[kept], found.similarity[kept])
        taken *= _LOWER


def _people(
    rows: npt.NDArray[np.floating],
    person: Ints,
    query: Floats,
    pieces: Ints,
    floor: float,
    error: float,
    exact_rows: Callable[[Ints], npt.NDArray[np.floating]] | None,
) -> Found:
    """Everybody with a template in `pieces` whose similarity reaches `floor`, and the best one."""
    row = (pieces[:, None] * PIECE + np.arange(PIECE)).ravel()
    row = row[row < len(rows)]
    row = row[person[row] > 0]
    exact = similarities(rows[row], query)
    if exact_rows is not None:
        row = row[exact >= floor - error]
        exact = similarities(exact_rows(row), query)
    row, exact = row[exact >= floor], exact[exact >= floor]
    # By similarity, then by row: the first of each person is the one that counts.
    order = np.lexsort((row, -exact))
    row, exact = row[order], exact[order]
    _, first = np.unique(person[row], return_index=True)
    first.sort()
    return Found(person[row[first]], row[first], exact[first])


def _error_bound(rows: npt.NDArray[np.floating]) -> float:
    """How far a quick score may lie from the exact one, for rows and queries of unit length."""
    size = rows.shape[1]
    # Rounding of both vectors to float32, and of D products and sums.
    error = (size + 8) * 2.0**-24
    if rows.dtype == np.float16:
        # Half a unit in the last of 11 bits; the smallest numbers may count as zero, D of them.
        error += 1.01 * 2.0**-11 + size**0.5 * 2.0**-14
    return float(error)


def _nobody() -> Found:
    return Found(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
