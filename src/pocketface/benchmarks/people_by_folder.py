"""Who is on the images of a set of pairs, as far as their names tell."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def people_by_folder(
    names: Sequence[str], left: Ints, right: Ints, same: npt.NDArray[np.bool_]
) -> Ints | None:
    """The number of the person on each image, int64 (images,); None if the names do not tell.

    The folder of `<person>/<image>` is taken for the person only if it agrees with every pair:
    pairs of one person lie in one folder, pairs of two people in two.
    """
    folders = [str(PurePosixPath(name).parent) for name in names]
    _, numbers = np.unique(np.array(folders, dtype=np.str_), return_inverse=True)
    people = numbers.astype(np.int64)
    return people if np.array_equal(people[left] == people[right], same) else None
