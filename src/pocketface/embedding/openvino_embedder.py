"""An OpenVINO file as an embedder, run on the CPU. Importing this module imports openvino."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketface.card import ModelCard, sha256_of
from pocketface.embedding.file_embedder import FileEmbedder
from pocketface.embedding.network_file import NetworkFile, Port, first_line
from pocketface.embedding.self_description import KEY
from pocketface.errors import MissingExtraError, RecipeError, WeightsError
from pocketface.preprocessing import Preprocessing

try:
    import openvino
except ModuleNotFoundError as error:
    raise MissingExtraError("Running OpenVINO files (.xml)", "openvino") from error

WEIGHTS_KEY = "pocketface_weights_sha256"
"""The entry in the `.xml` that says which `.bin` belongs to it."""


class OpenVinoEmbedder(FileEmbedder):
    """`FileEmbedder` for `.xml` with its weights in a `.bin` of the same name beside it.

    It computes in float32 wherever it runs. `threads` is the number of threads; None leaves it to
    OpenVINO.

    Raises WeightsError for files that cannot be read, are no OpenVINO network or not of one
    export, and as `FileEmbedder`; RecipeError for fewer than one thread.
    """

    def __init__(
        self,
        path: Path,
        preprocessing: Preprocessing | None = None,
        *,
        card: ModelCard | None = None,
        threads: int | None = None,
    ) -> None:
        super().__init__(_open(path, threads), preprocessing, card=card)


def _open(path: Path, threads: int | None) -> NetworkFile:
    if threads is not None and threads < 1:
        raise RecipeError(f"threads must be at least 1, got {threads}.")
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise WeightsError(f"{path} has no {weights.name} beside it, its weights. Copy both.")
    # Left to itself it computes in bfloat16 where the processor can.
    wanted: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        wanted["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()
    try:
        model = core.read_model(path, weights)
        metadata = {
            key: str(model.get_rt_info([key]).value)
            for key in (KEY, WEIGHTS_KEY)
            if model.has_rt_info([key])
        }
        compiled = core.compile_model(model, "CPU", wanted)
    except Exception as error:  # RuntimeError mostly, for files of any kind
        raise WeightsError(
            f"{path} is not a network that OpenVINO {openvino.__version__} can run: "
            f"{first_line(error)} Copy or export it again."
        ) from error
    if metadata.get(WEIGHTS_KEY, "") not in ("", sha256_of(weights)):
        raise WeightsError(
            f"{path} and {weights.name} are not of one export: one of them was changed or copied "
            "without the other. Put the matching pair together again."
        )
    ports = [_port(entry) for entry in compiled.inputs]

    def run(images: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        found = compiled([images])
        return [found[port] for port in compiled.outputs]

    return NetworkFile(path, sha256_of(path), ports, run, metadata)


def _port(entry: Any) -> Port:
    shape = entry.partial_shape
    sides = None
    if shape.rank.is_static:
        sides = tuple(None if side.is_dynamic else side.get_length() for side in shape)
    return Port(entry.any_name, str(np.dtype(entry.element_type.to_dtype())), sides)
