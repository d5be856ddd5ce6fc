"""From the embeddings of faces to those of templates.

The faces of one medium (a still, a video) are averaged, the media of a template are summed, and
the sum is divided by its length. Before that, each face is weighted: with its own length or
without, times its detector score or not. All of that is one weight per face, so a template is one
weighted sum over the rows of its faces.

The order of the faces in the files must not change a figure, but sums of rounded numbers depend
on their order. So each weighted number is first rounded to a grid that is fine enough (at least
2^-50 of the largest possible sum) and coarse enough that 64-bit sums on it are exact: exact sums
have no order.

Shapes: F faces, T templates, D numbers of an embedding.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketface.errors import WeightsError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_BLOCK = 1 << 19
"""Numbers that one thread works on at once: bounds the memory, and stays in the cache."""

_THREADS = min(4, os.cpu_count() or 1)


class Weighting(NamedTuple):
    """How faces count: with the embedding's own length or not, times the detector score or not."""

    keep_norm: bool
    detector_score: bool


def aggregate(
    features: npt.NDArray[np.floating],
    template: Ints,
    media: Ints,
    detector_score: Floats,
    weighting: Weighting,
    *,
    face_name: Callable[[int], str] = "face {}".format,
    template_name: Callable[[int], str] = "template {}".format,
) -> npt.NDArray[np.float32]:
    """Unit embeddings of all templates, float32 (T, D).

    Args:
        features: float (F, D), the faces' embeddings, not normalised; may be mapped from a file.
        template: int64 (F,), rows 0 .. T - 1, each at least once.
        media: int64 (F,), media ids.
        detector_score: float64 (F,), not negative.
        weighting: how faces count.
        face_name: what to call a face in a message.
        template_name: what to call a template in a message.

    Raises WeightsError for features of another shape, for a face whose embedding is zero or not
    finite, and for a template whose faces cancel out.
    """
    if features.ndim != 2 or len(features) != len(template):
        raise WeightsError(
            f"there are {len(template):,} faces, but embeddings of shape {features.shape}. "
            "Embed the faces again."
        )
    largest = _check_features(features, face_name)
    weights = 1.0 / _faces_of_the_medium(template, media)
    if weighting.detector_score:
        weights *= detector_score
    heaviest = _heaviest(template, weights)
    if not weighting.keep_norm:
        weights /= _lengths(features)
        largest = 1.0
    sums = _exact_sums(features, template, weights, largest * heaviest)
    lengths = np.sqrt(np.square(sums).sum(axis=1))
    faulty = np.flatnonzero(~(lengths > 0))
    if len(faulty):
        raise WeightsError(
            f"the embeddings of {template_name(int(faulty[0]))} add up to zero, as do those of "
            f"{len(faulty)} of {len(sums):,} templates: they have no direction to compare. Are "
            "all its detector scores zero, or are the weights broken?"
        )
    sums /= lengths[:, None]
    return sums.astype(np.float32)


def _check_features(features: npt.NDArray[np.floating], face_name: Callable[[int], str]) -> float:
    """The largest absolute number. Raises WeightsError for a row that is zero or not finite."""
    largest = 0.0
    for part in _parts(features):
        rows = np.asarray(features[part])
        high, low = float(rows.max()), float(rows.min())  # NaN where any number is
        squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float32, casting="same_kind")
        if not (np.isfinite(high) and np.isfinite(low)) or not squares.all():
            faulty = np.flatnonzero(~(np.isfinite(rows).all(axis=1) & rows.any(axis=1)))
            if len(faulty):  # none where only the squares are too small for 32 bits
                raise WeightsError(
                    f"the embedding of {face_name(part.start + int(faulty[0]))} is zero or not "
                    "finite. The weights are broken, or the preprocessing is not the network's."
                )
        largest = max(largest, high, -low)
    return largest


def _faces_of_the_medium(template: Ints, media: Ints) -> Floats:
    """How many faces of its template each face's medium has, float64 (F,)."""
    order = np.lexsort((media, template))
    one, two = template[order], media[order]
    begins = np.append(True, (one[1:] != one[:-1]) | (two[1:] != two[:-1]))
    group = np.cumsum(begins) - 1
    counts = np.empty(len(template))
    counts[order] = np.bincount(group)[group]
    return counts


def _heaviest(template: Ints, weights: Floats) -> float:
    """Not less than any template's sum of weights; it, too, must not depend on their order."""
    most = float(weights.max())
    if most == 0:
        return 0.0
    # Whole numbers below 2^53 add up exactly.
    parts = np.ceil(weights * (2.0**20 / most))
    return float(np.bincount(template, parts).max()) * most / 2.0**20


def _lengths(features: npt.NDArray[np.floating]) -> Floats:
    lengths = np.empty(len(features))
    for part in _parts(features):
        rows = np.asarray(features[part], np.float64)
        lengths[part] = np.sqrt(np.square(rows).sum(axis=1))
    return lengths


def _exact_sums(
    features: npt.NDArray[np.floating], template: Ints, weights: Floats, bound: float
) -> Floats:
    """Sums of the weighted rows of each template, float64 (T, D).

    `bound` is not less than the largest absolute value that any partial sum can have.
    """
    order = np.argsort(template, kind="stable")
    ends = np.cumsum(np.bincount(template))
    sums = np.empty((len(ends), features.shape[1]))
    # Adding and taking away a number this large rounds to the grid, 2^-51 of a power of two that
    # is not less than the bound; sums of such multiples below 2^53 of them are exact.
    grid = 1.5 * 2.0 ** (int(np.frexp(bound)[1]) + 1)

    def work(first: int, last: int) -> None:
        start = int(ends[first - 1]) if first else 0
        rows = order[start : ends[last - 1]]
        weighted = features[rows].astype(np.float64)
        weighted *= weights[rows, None]
        weighted += grid
        weighted -= grid
        at = 0
        for row in range(first, last):
            end = int(ends[row]) - start
            np.add.reduce(weighted[at:end], axis=0, out=sums[row])
            at = end

    step = max(1, _BLOCK // features.shape[1])
    cuts = np.unique(
        np.append(np.searchsorted(ends, np.arange(0, len(template), step), "right"), len(ends))
    )
    with ThreadPoolExecutor(_THREADS) as pool:
        for done in [pool.submit(work, *two) for two in pairwise(cuts.tolist())]:
            done.result()
    return sums


def _parts(features: npt.NDArray[np.floating]) -> list[slice]:
    step = max(1, _BLOCK // features.shape[1])
    return [slice(start, start + step) for start in range(0, len(features), step)]
