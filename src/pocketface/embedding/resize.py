"""Aligned faces to the network's input size: the one way, in training as in testing.

The filter is Pillow's bilinear one, whose support grows with the reduction, so that every source
pixel counts (antialiasing). It works in integers: equal pixels in give equal pixels out, on every
machine. A network must be tested with the resizing that it was trained with; hence one function.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketface.embedding.embedder import check_faces


def resize_faces(images: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Resize square faces uint8 (N, H, H, 3) to uint8 (N, size, size, 3).

    Faces that have the size already are returned as they are, not copied. Raises DataError for
    another type or shape, or for faces that are not square.
    """
    check_faces(images)
    if images.shape[1] == size:
        return images
    resized = np.empty((len(images), size, size, 3), np.uint8)
    for index, image in enumerate(images):
        picture = Image.fromarray(image)
        resized[index] = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    return resized
