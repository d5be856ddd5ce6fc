"""Embedding with a network that a runtime has opened from a file, whatever the runtime."""

import copy
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from pocketface.card import ModelCard
from pocketface.embedding.embedder import check_embeddings, check_faces, fingerprint_of
from pocketface.embedding.network_file import NetworkFile, check_threads
from pocketface.embedding.normalise import normalise_faces
from pocketface.embedding.resize import resize_faces
from pocketface.embedding.self_description import card_of, read_description, undescribed
from pocketface.errors import RecipeError, WeightsError
from pocketface.preprocessing import Preprocessing

_CHUNK = 32
"""Images per run of a file with a free batch size: bounds the memory of the activations."""


class FileEmbedder(ABC):
    """Embeds with the first output of a file whose one input is float32 NCHW; a class per runtime.

    A file that `pocketface export` wrote describes itself: it may take uint8 pixels, and give
    embeddings of unit length with their lengths beside. Those are multiplied again here, so that
    `embed` gives what the network computed, and thresholds on sums over image and mirror hold.

    `preprocessing` is for files that have no card and do not describe themselves. A file with a
    fixed batch size is fed by splitting, its last part filled up with black images. `threads` is
    the number of threads inside an operator; None leaves it to the runtime.

    Raises RecipeError for fewer than one thread; WeightsError for a file that the runtime cannot
    read or run, that is not described or described twice and differently, wants an input other
    than S = `image_size`, or gives something else than one embedding per image.
    """

    def __init__(
        self,
        path: Path,
        preprocessing: Preprocessing | None = None,
        *,
        card: ModelCard | None = None,
        threads: int | None = None,
    ) -> None:
        check_threads(threads)
        file = self._open(path, threads)
        self.path = path
        self._file = file
        described = read_description(file.metadata, file.path)
        self.card = card_of(file.path, file.sha256, described, card)
        if described is not None and preprocessing not in (None, described.card.preprocessing):
            raise WeightsError(
                f"{file.path} says its own preprocessing. Leave --size, --order, --mean and "
                "--std out."
            )
        self.preprocessing = _preprocessing(file, self.card, preprocessing)
        self._pixels = described is not None and described.input == "uint8"
        self._unit = described is not None and described.output == "unit"
        self._batch = file.check_input(self.preprocessing.image_size, pixels=self._pixels)
        self.embedding_size = self._probe()
        if self.card is not None and self.card.embedding_size != self.embedding_size:
            raise WeightsError(
                f"{self.path} gives embeddings of {self.embedding_size} numbers, but its card says "
                f"{self.card.embedding_size}. Put the matching card beside it."
            )

    @staticmethod
    @abstractmethod
    def _open(path: Path, threads: int | None) -> NetworkFile:
        """The network in `path`, as the runtime finds it. Raises WeightsError."""

    @property
    def network(self) -> NetworkFile:
        """What the runtime found in the file: its inputs and how it is run."""
        return self._file

    @property
    def takes_pixels(self) -> bool:
        """Whether the file takes uint8 (N, S, S, 3), and not float32 (N, 3, S, S)."""
        return self._pixels

    @property
    def batch(self) -> int | None:
        """How many images it takes at once, where the file fixes that."""
        return self._batch

    @property
    def fingerprint(self) -> str:
        """Hexadecimal identity of weights and preprocessing."""
        return fingerprint_of(self._file.sha256, self.preprocessing)

    def with_preprocessing(self, preprocessing: Preprocessing) -> Self:
        """The same network fed in another way, at the same image size.

        Raises RecipeError for a file that holds its preprocessing.
        """
        if self._pixels:
            raise RecipeError(
                f"{self.path} takes pixels and holds its preprocessing, which cannot be changed. "
                "Ask this of the weights that it was made from, or of a file with float input."
            )
        other = copy.copy(self)
        other.preprocessing = preprocessing
        return other

    def embed(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed uint8 (N, H, W, 3) RGB aligned faces; gives float32 (N, D), not normalised.

        Raises DataError for another shape or type, WeightsError for output that is not finite.
        """
        check_faces(images)
        chunk = self._batch or _CHUNK
        embeddings = np.empty((len(images), self.embedding_size), np.float32)
        for start in range(0, len(images), chunk):
            faces = resize_faces(images[start : start + chunk], self.preprocessing.image_size)
            rows = len(faces)
            output = self._run(faces)[:rows]
            check_embeddings(output, rows, self.embedding_size, self.path.name)
            embeddings[start : start + rows] = output
        return embeddings

    def _run(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        missing = (self._batch or len(faces)) - len(faces)
        if missing:
            faces = np.concatenate([faces, np.zeros((missing, *faces.shape[1:]), np.uint8)])
        inputs = faces if self._pixels else normalise_faces(faces, self.preprocessing)
        first, *rest = self._file.outputs_for(np.ascontiguousarray(inputs))
        if not self._unit:
            return first
        if not rest:
            raise WeightsError(
                f"{self.path} says that it gives embeddings of unit length and their lengths, but "
                "has one output. Something took the other away: export the network again."
            )
        with np.errstate(invalid="ignore"):  # what is not finite is told after this
            embeddings: npt.NDArray[np.float32] = first * rest[0]
        return embeddings

    def _probe(self) -> int:
        """Run one image; its output tells D better than the file's declared shapes do."""
        size = self.preprocessing.image_size
        batch = self._batch or 1
        output = self._run(np.zeros((batch, size, size, 3), np.uint8))
        if output.ndim != 2 or len(output) != batch or not np.issubdtype(output.dtype, np.floating):
            raise WeightsError(
                f"{self.path} gives {output.dtype} {output.shape} at its first output "
                f"for {batch} image(s); an embedding network gives float ({batch}, D). "
                "Is it a detector or a classifier? Give the file of a recognition network."
            )
        return int(output.shape[1])


def _preprocessing(
    file: NetworkFile, card: ModelCard | None, given: Preprocessing | None
) -> Preprocessing:
    if card is not None:
        return card.preprocessing
    if given is None:
        raise undescribed(file.path)
    return given
