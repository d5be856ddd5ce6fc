"""How similar two faces are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.data.jpeg import decode_rgb
from pocketface.embedding.embedder import Embedder
from pocketface.embedding.flip import embed_faces
from pocketface.embedding.unit import similarity_of, squared_distances, unit
from pocketface.errors import DataError


def compare_files(embedder: Embedder, first: Path, second: Path, *, flip: bool) -> float:
    """Cosine similarity, -1 to 1, of two image files of aligned faces.

    `flip` sums the embeddings of image and mirror. Raises DataError if a file cannot be read or
    is no square image, and what `embedder.embed` raises.
    """
    faces = [read_image(first), read_image(second)]
    return compare_faces(embedder, faces, [str(first), str(second)], flip=flip)


def compare_faces(
    embedder: Embedder, faces: Sequence[npt.NDArray[np.uint8]], names: Sequence[str], *, flip: bool
) -> float:
    """As `compare_files`, of two decoded faces, each uint8 (H, H, 3) RGB; `names` for messages."""
    directions = unit(embed_faces(embedder, faces, flip=flip), names)
    return float(similarity_of(squared_distances(directions[:1], directions[1:]))[0])


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Decode an image file to uint8 (H, W, 3) RGB. Raises DataError if it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}. Give an image file of an aligned face."
        ) from error
    return decode_rgb(content, str(path))
