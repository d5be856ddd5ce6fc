"""`pocketface.Embedder`: a network from a file, for programs that use faces. Light to import."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pocketface.card import ModelCard
    from pocketface.embedding.embedder import Embedder
    from pocketface.preprocessing import Preprocessing


class LoadedEmbedder:
    """A network loaded from a file, of any runtime; `Embedder.load` gives one.

    An exported file needs NumPy, onnxruntime and Pillow, and no torch:

        import numpy as np
        from pocketface import Embedder

        embedder = Embedder.load("model.onnx")
        faces = np.stack([embedder.read("a.jpg"), embedder.read("b.jpg")])
        a, b = embedder.embed(faces)
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)

        similarity = embedder.compare("a.jpg", "b.jpg")  # with the mirror images, as `verify` does
        same = similarity >= 0.25  # a threshold of `embedder.card.thresholds`

    Faces are aligned and square; other sizes than the network's are resized.
    """

    def __init__(self, embedder: "Embedder") -> None:
        self._embedder = embedder

    @staticmethod
    def load(
        path: str | Path,
        *,
        preprocessing: "Preprocessing | None" = None,
        architecture: str | None = None,
        threads: int | None = None,
    ) -> "LoadedEmbedder":
        """Load what `pocketface.embedding.load_embedder` loads, and raise what it raises.

        `preprocessing` and `architecture` are for files of others, which nothing describes.
        """
        from pocketface.embedding.load import load_embedder

        return LoadedEmbedder(load_embedder(Path(path), preprocessing, threads, architecture))

    @property
    def embedding_size(self) -> int:
        """D, the length of an embedding."""
        return self._embedder.embedding_size

    @property
    def fingerprint(self) -> str:
        """Hexadecimal identity of weights and preprocessing."""
        return self._embedder.fingerprint

    @property
    def preprocessing(self) -> "Preprocessing":
        """Size, channel order, mean and std of the network's input."""
        return self._embedder.preprocessing

    @property
    def card(self) -> "ModelCard | None":
        """The file's card: thresholds, calibration, licence; None for a file of others."""
        return self._embedder.card

    @staticmethod
    def read(path: str | Path) -> "npt.NDArray[np.uint8]":
        """Decode an image file to uint8 (H, W, 3) RGB; grey becomes RGB.

        Raises DataError if it cannot be read or is no image.
        """
        from pocketface.embedding.compare import read_image

        return read_image(Path(path))

    def embed(self, images: "npt.NDArray[np.uint8]") -> "npt.NDArray[np.float32]":
        """Embed uint8 (N, H, H, 3) RGB aligned faces; gives float32 (N, D), not normalised.

        Raises DataError for another shape or type, WeightsError for output that is not finite.
        """
        return self._embedder.embed(images)

    def compare(self, first: str | Path, second: str | Path, *, flip: bool = True) -> float:
        """Cosine similarity, -1 to 1, of two image files of aligned faces.

        `flip` sums the embeddings of image and mirror, as the usual thresholds do (`flip` of a
        threshold says so). Raises DataError if a file cannot be read or is no square image.
        """
        from pocketface.embedding.compare import compare_files

        return compare_files(self._embedder, Path(first), Path(second), flip=flip)
