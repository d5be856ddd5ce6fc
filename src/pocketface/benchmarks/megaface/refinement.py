"""The refined protocol's probes: a noisy one becomes the clean image of its person.

With cosine similarity, a noisy probe is replaced by the normalised sum of the clean features of
that person, and noisy distractors are left out. We sum unit vectors, each image counting alike.
"""

import math

import numpy as np
import numpy.typing as npt

from pocketface.embedding.unit import unit
from pocketface.errors import DataError

Floats = npt.NDArray[np.float64]


def clean_replacements(
    directions: Floats, person: npt.NDArray[np.int64], noisy: npt.NDArray[np.bool_]
) -> Floats:
    """What stands in for each noisy probe, float64 (noisy probes, D), unit vectors, in order.

    `directions` is float64 (P, D), unit vectors; `person` int64 (P,); `noisy` bool (P,).
    Raises DataError if a person has noisy probes only, or clean ones that cancel out.
    """
    means: dict[int, Floats] = {}
    replacements = np.empty((int(noisy.sum()), directions.shape[1]))
    for place, row in enumerate(np.flatnonzero(noisy)):
        owner = int(person[row])
        if owner not in means:
            clean = directions[(person == owner) & ~noisy]
            # fsum rounds once, so that the order of the images does not matter.
            means[owner] = np.array([math.fsum(column) for column in clean.T.tolist()])
        if not means[owner].any():
            raise DataError(
                f"person number {owner} of the probes has no clean image, or images that cancel "
                "out, so nothing can replace a noisy one. Correct the noise list of the probes."
            )
        replacements[place] = unit(means[owner][None])[0]
    return replacements
