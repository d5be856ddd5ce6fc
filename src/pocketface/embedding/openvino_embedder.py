"""An OpenVINO file as an embedder, run on the CPU. Importing this module imports openvino."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketface.embedding.file_embedder import FileEmbedder
from pocketface.embedding.network_file import NetworkFile, Port, first_line
from pocketface.embedding.self_description import KEY
from pocketface.embedding.weights_beside import WEIGHTS_KEY, pair_sha256, weights_beside
from pocketface.errors import MissingExtraError, WeightsError

try:
    import openvino
except ModuleNotFoundError as error:
    raise MissingExtraError("Running OpenVINO files (.xml)", "openvino") from error


class OpenVinoEmbedder(FileEmbedder):
    """`FileEmbedder` for `.xml` with its weights in a `.bin` of the same name beside it.

    It computes in float32 wherever it runs.

    Raises as `FileEmbedder`, and WeightsError for two files that are not of one export.
    """

    @staticmethod
    def _open(path: Path, threads: int | None) -> NetworkFile:
        weights = weights_beside(path)
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
        sha256 = pair_sha256(path, metadata)
        ports = [_port(entry) for entry in compiled.inputs]

        def run(images: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
            found = compiled([images])
            return [found[port] for port in compiled.outputs]

        return NetworkFile(path, sha256, ports, run, metadata)


def _port(entry: Any) -> Port:
    shape = entry.partial_shape
    sides = None
    if shape.rank.is_static:
        sides = tuple(None if side.is_dynamic else side.get_length() for side in shape)
    return Port(entry.any_name, str(np.dtype(entry.element_type.to_dtype())), sides)
