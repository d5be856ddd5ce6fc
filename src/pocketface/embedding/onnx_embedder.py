"""An ONNX file as an embedder, run by onnxruntime on the CPU."""

from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime

from pocketface.card import sha256_of
from pocketface.embedding.file_embedder import FileEmbedder
from pocketface.embedding.network_file import NetworkFile, Port, first_line
from pocketface.errors import WeightsError

_QUIET = 4
"""onnxruntime's log level 'fatal': what goes wrong is raised and told by us."""

_TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}


class OnnxEmbedder(FileEmbedder):
    """`FileEmbedder` for `.onnx`."""

    @staticmethod
    def _open(path: Path, threads: int | None) -> NetworkFile:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _QUIET
        if threads is not None:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has a class per fault, and no common base
            raise WeightsError(
                f"{path} is not an ONNX network that onnxruntime {onnxruntime.__version__} can "
                f"run: {first_line(error)} Copy or export the file again."
            ) from error

        inputs = [_port(entry) for entry in session.get_inputs()]
        metadata = session.get_modelmeta().custom_metadata_map

        def run(images: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
            outputs: list[npt.NDArray[Any]] = session.run(None, {inputs[0].name: images})
            return outputs

        return NetworkFile(path, sha256_of(path), inputs, run, metadata)


def _port(entry: Any) -> Port:
    dtype = _TYPES.get(entry.type, entry.type.removeprefix("tensor(").removesuffix(")"))
    return Port(entry.name, dtype, tuple(s if isinstance(s, int) else None for s in entry.shape))
