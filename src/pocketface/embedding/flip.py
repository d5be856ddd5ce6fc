"""The embedding that the field measures: a face and its mirror image, summed."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocketface.embedding.embedder import Embedder


def flip_sum(embedder: Embedder, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """f(x) + f(mirrored x) on the raw outputs, not normalised (the pair protocol).

    `images` is uint8 (N, H, W, 3) RGB; gives float32 (N, D). Raises what `embedder.embed` raises.
    """
    return embedder.embed(images) + embedder.embed(np.ascontiguousarray(images[:, :, ::-1]))


def embed_faces(
    embedder: Embedder, faces: Sequence[npt.NDArray[np.uint8]], *, flip: bool
) -> npt.NDArray[np.float32]:
    """Embed decoded faces, each uint8 (H, H, 3) RGB of its own H; gives float32 (N, D).

    With `flip` it is `flip_sum`. Raises what `embedder.embed` raises.
    """
    embeddings = np.empty((len(faces), embedder.embedding_size), np.float32)
    for shape in sorted({face.shape for face in faces}):
        rows = [row for row, face in enumerate(faces) if face.shape == shape]
        images = np.stack([faces[row] for row in rows])
        embeddings[rows] = flip_sum(embedder, images) if flip else embedder.embed(images)
    return embeddings
