"""An ONNX file as an embedder, run by onnxruntime on the CPU."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from pocketface.card import ModelCard, sha256_of
from pocketface.embedding.embedder import check_embeddings, check_faces, fingerprint_of
from pocketface.embedding.normalise import normalise_faces
from pocketface.embedding.resize import resize_faces
from pocketface.errors import RecipeError, WeightsError
from pocketface.preprocessing import Preprocessing

_CHUNK = 32
"""Images per run of a file with a free batch size: bounds the memory of the activations."""

_QUIET = 4
"""onnxruntime's log level 'fatal': what goes wrong is raised and told by us."""


class OnnxEmbedder:
    """Embeds with the first output of an ONNX file whose one input is float32 NCHW.

    A file with a fixed batch size is fed by splitting, its last part filled up with black
    images. `threads` is the number of threads inside an operator; None leaves it to onnxruntime.

    Raises WeightsError for a file that cannot be read, is no ONNX network, wants an input other
    than (N, 3, S, S) with S = `preprocessing.image_size`, or gives something else than one
    embedding per image.
    """

    def __init__(
        self,
        path: Path,
        preprocessing: Preprocessing,
        *,
        card: ModelCard | None = None,
        threads: int | None = None,
    ) -> None:
        self.path = path
        self.preprocessing = preprocessing
        self.card = card
        self._session = _open_session(path, threads)
        self._input, self._batch = _check_input(self._session, path, preprocessing.image_size)
        self._output = self._session.get_outputs()[0].name
        self.embedding_size = self._probe()
        if card is not None and card.embedding_size != self.embedding_size:
            raise WeightsError(
                f"{path} gives embeddings of {self.embedding_size} numbers, but its card says "
                f"{card.embedding_size}. Put the matching card beside it."
            )
        self._sha256 = sha256_of(path)
        self.fingerprint = fingerprint_of(self._sha256, preprocessing)

    def with_preprocessing(self, preprocessing: Preprocessing) -> "OnnxEmbedder":
        """The same network fed in another way, at the same image size."""
        other = copy.copy(self)
        other.preprocessing = preprocessing
        other.fingerprint = fingerprint_of(self._sha256, preprocessing)
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
            output = self._run(normalise_faces(faces, self.preprocessing))[:rows]
            check_embeddings(output, rows, self.embedding_size, self.path.name)
            embeddings[start : start + rows] = output
        return embeddings

    def _run(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        missing = (self._batch or len(inputs)) - len(inputs)
        if missing:
            inputs = np.concatenate([inputs, np.zeros((missing, *inputs.shape[1:]), np.float32)])
        try:
            output = self._session.run([self._output], {self._input: inputs})[0]
        except Exception as error:
            raise WeightsError(
                f"{self.path} cannot process images of shape {inputs.shape}: {_first_line(error)}"
            ) from error
        return np.asarray(output)

    def _probe(self) -> int:
        """Run one image; its output tells D better than the file's declared shapes do."""
        size = self.preprocessing.image_size
        output = self._run(np.zeros((1, 3, size, size), np.float32))
        batch = self._batch or 1
        if output.ndim != 2 or len(output) != batch or not np.issubdtype(output.dtype, np.floating):
            raise WeightsError(
                f"{self.path} gives {output.dtype} {output.shape} at its output '{self._output}' "
                f"for {batch} image(s); an embedding network gives float ({batch}, D). "
                "Is it a detector or a classifier? Give the file of a recognition network."
            )
        return int(output.shape[1])


def _open_session(path: Path, threads: int | None) -> Any:
    if threads is not None and threads < 1:
        raise RecipeError(f"threads must be at least 1, got {threads}.")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has a class per fault, and no common base
        raise WeightsError(
            f"{path} is not an ONNX network that onnxruntime {onnxruntime.__version__} can run: "
            f"{_first_line(error)} Copy or export the file again."
        ) from error


def _check_input(session: Any, path: Path, image_size: int) -> tuple[str, int | None]:
    """The input's name, and its batch size if the file fixes one."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(entry.name for entry in inputs) or "none"
        raise WeightsError(f"{path} must have one input, the images; it has: {names}.")
    name, shape, kind = inputs[0].name, inputs[0].shape, inputs[0].type
    described = f"{path} takes {kind} {shape} at its input '{name}'"
    if kind != "tensor(float)" or len(shape) != 4:
        raise WeightsError(f"{described}; it must take float32 images of shape (N, 3, S, S).")
    batch, *rest = (entry if isinstance(entry, int) else None for entry in shape)
    if rest[0] not in (None, 3):
        raise WeightsError(
            f"{described}; channels must come second (N, 3, S, S). "
            "Export the network in the NCHW layout."
        )
    if any(side not in (None, image_size) for side in rest[1:]):
        raise WeightsError(
            f"{described}, but its preprocessing says {image_size} x {image_size} pixels. "
            f"Correct the image size (--size {rest[1] or rest[2]}) or the card."
        )
    return name, batch


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)
