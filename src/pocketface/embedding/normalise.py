"""Pixels to network input, in NumPy, for runtimes that take arrays."""

import numpy as np
import numpy.typing as npt

from pocketface.preprocessing import Preprocessing


def normalise_faces(
    images: npt.NDArray[np.uint8], preprocessing: Preprocessing
) -> npt.NDArray[np.float32]:
    """Turn uint8 (N, S, S, 3) RGB into the float32 (N, 3, S, S) that a network expects.

    Each channel c, in the network's order, is `(x / 255 - mean[c]) / std[c]`, computed as one
    multiplication and one addition; this differs from the formula by float32 rounding only.
    """
    count, height, width, _ = images.shape
    inputs = np.empty((count, 3, height, width), np.float32)
    sources = (0, 1, 2) if preprocessing.channel_order == "rgb" else (2, 1, 0)
    for channel, source in enumerate(sources):
        mean, std = preprocessing.mean[channel], preprocessing.std[channel]
        np.multiply(images[..., source], np.float32(1 / (255 * std)), out=inputs[:, channel])
        inputs[:, channel] -= np.float32(mean / std)
    return inputs
