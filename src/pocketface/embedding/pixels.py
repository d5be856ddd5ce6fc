"""The pixels themselves as an embedding: what is reached without any network."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketface.card import ModelCard
from pocketface.embedding.embedder import check_faces
from pocketface.preprocessing import Preprocessing

SIDE = 32


class PixelEmbedder:
    """The middle of the face, grey, 32 x 32, brought to mean 0 and deviation 1.

    The middle is 4/7 of the side (64 of 112 pixels), where hair and background do not reach. It
    is the yardstick that every network must leave behind; window and scaling are ours, chosen to
    serve it well.
    """

    embedding_size = SIDE * SIDE
    fingerprint = "pixels"
    card: ModelCard | None = None
    preprocessing = Preprocessing(image_size=SIDE)

    def embed(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Give float32 (N, 1024) for uint8 (N, H, H, 3) RGB aligned faces.

        Raises DataError for another type or shape.
        """
        check_faces(images)
        side = images.shape[1]
        margin = round(side * 3 / 14)
        rows = np.empty((len(images), self.embedding_size), np.float32)
        for row, image in zip(rows, images, strict=True):
            window = Image.fromarray(image[margin : side - margin, margin : side - margin])
            small = window.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            pixels = np.asarray(small, np.float32).ravel()
            # The small number keeps a flat image from dividing by zero.
            row[:] = (pixels - pixels.mean()) / (pixels.std() + 1e-6)
        return rows
