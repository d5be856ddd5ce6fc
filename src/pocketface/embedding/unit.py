"""Directions of embeddings, and how far apart two of them are.

On unit vectors the squared distance is d = |a - b|^2 = 2 - 2 cos(a, b): thresholds on the one
are thresholds on the other. All but the quick products is float64, so that a threshold decides the
same wherever it is applied.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocketface.errors import WeightsError


def unit(
    embeddings: npt.NDArray[np.floating], names: Sequence[str] | None = None
) -> npt.NDArray[np.float64]:
    """Divide each row of (N, D) by its length; gives float64 (N, D).

    Raises WeightsError if a row is zero or not finite: it has no direction. `names` are the
    rows' images, for the message.
    """
    wide = np.asarray(embeddings, np.float64)
    if wide.ndim != 2:
        raise WeightsError(f"embeddings must have the shape (N, D), got {wide.shape}.")
    # The largest entry first: the square of a tiny or huge number would leave float64's range.
    largest = np.abs(wide).max(axis=1, keepdims=True, initial=0)
    faulty = np.flatnonzero(~(np.isfinite(largest) & (largest > 0)))
    if len(faulty):
        row = int(faulty[0])
        name = f"row {row}" if names is None else names[row]
        raise WeightsError(
            f"{len(faulty)} of {len(wide)} embeddings are zero or not finite, first that of "
            f"{name}: they have no direction to compare. The weights are broken, or the "
            "preprocessing is not the network's."
        )
    wide = wide / largest
    directions: npt.NDArray[np.float64] = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return directions


def squared_distances(
    left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """|a - b|^2 of the rows of two float64 (P, D) arrays of unit vectors; float64 (P,), 0 to 4."""
    distances: npt.NDArray[np.float64] = np.square(left - right).sum(axis=1)
    return distances


def similarity_of(distances: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Cosine similarity 1 - d / 2 of squared distances between unit vectors, within [-1, 1]."""
    return np.clip(1.0 - distances / 2.0, -1.0, 1.0)


def quick_products(
    left: npt.NDArray[np.float32],
    right: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float32]:
    """The matrix product of finite float32 (n, D) and (D, m), float32 (n, m), as BLAS rounds it.

    NumPy reads the processor's flags after a product. A BLAS that computes on padding may leave
    'invalid' among them though every number is finite (seen with OpenBLAS, now and then): that is
    no warning for a person, and is not given.
    """
    with np.errstate(invalid="ignore"):
        products: npt.NDArray[np.float32] = np.matmul(left, right, out=out)
    return products
