"""Who is in the templates, as far as the pairs tell: templates of one person hang together."""

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.ijb.template_pairs import PairTable

Ints = npt.NDArray[np.int64]


def identities(pairs: PairTable) -> Ints:
    """The identity of the template at each place, int64 (T,), numbered from 0.

    Identities are the connected components of the pairs of one person. A template that is in no
    such pair is an identity of its own.
    """
    left, right = pairs.pair_places(pairs.genuine())
    label = np.arange(len(pairs.order))
    while True:
        # Both ends of a pair take the smaller label; then every label takes its label's label.
        smaller = np.minimum(label[left], label[right])
        following = label.copy()
        np.minimum.at(following, left, smaller)
        np.minimum.at(following, right, smaller)
        following = following[following]
        if np.array_equal(following, label):
            return np.unique(label, return_inverse=True)[1].astype(np.int64)
        label = following
