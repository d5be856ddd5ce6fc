"""The embedding that the field measures: a face and its mirror image, summed."""

import numpy as np
import numpy.typing as npt

from pocketface.embedding.embedder import Embedder


def flip_sum(embedder: Embedder, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """f(x) + f(mirrored x) on the raw outputs, not normalised (the pair protocol).

    `images` is uint8 (N, H, W, 3) RGB; gives float32 (N, D). Raises what `embedder.embed` raises.
    """
    return embedder.embed(images) + embedder.embed(np.ascontiguousarray(images[:, :, ::-1]))


def embed_faces(
    embedder: Embedder, images: npt.NDArray[np.uint8], *, flip: bool
) -> npt.NDArray[np.float32]:
    """`flip_sum` where `flip` is true, else the plain embeddings; float32 (N, D)."""
    return flip_sum(embedder, images) if flip else embedder.embed(images)
