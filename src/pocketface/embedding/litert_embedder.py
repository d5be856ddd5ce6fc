"""A LiteRT file as an embedder, run on the CPU. Importing this module imports ai_edge_litert."""

import hashlib
import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketface.embedding.file_embedder import FileEmbedder
from pocketface.embedding.network_file import NetworkFile, Port, first_line
from pocketface.embedding.self_description import KEY
from pocketface.errors import MissingExtraError, WeightsError

try:
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter
except ModuleNotFoundError as error:
    raise MissingExtraError("Running LiteRT files (.tflite)", "litert") from error


class LiteRtEmbedder(FileEmbedder):
    """`FileEmbedder` for `.tflite`.

    LiteRT's own layout is float32 (N, S, S, 3); images are turned for it. A file of others that
    takes (N, 3, S, S) gets them as they are. For each other number of images the runtime lays out
    its memory anew.
    """

    @staticmethod
    def _open(path: Path, threads: int | None) -> NetworkFile:
        content = path.read_bytes()
        try:
            # From the bytes and not from the path: only so is the file checked before it is read.
            interpreter = Interpreter(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
        except Exception as error:  # ValueError and RuntimeError, for files of any kind
            version = importlib.metadata.version("ai-edge-litert")
            raise WeightsError(
                f"{path} is not a network that LiteRT {version} can run: {first_line(error)} "
                "Copy or export it again."
            ) from error
        inputs = [_port(entry) for entry in interpreter.get_input_details()]
        turned = len(inputs) == 1 and _is_channels_last(inputs[0])
        if turned:
            inputs = [_as_channels_first(inputs[0])]

        def run(images: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
            if turned:
                images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
            (entry,) = interpreter.get_input_details()
            if tuple(entry["shape"]) != images.shape:
                interpreter.resize_tensor_input(entry["index"], images.shape, strict=True)
                interpreter.allocate_tensors()
            interpreter.set_tensor(entry["index"], images)
            interpreter.invoke()
            return [
                interpreter.get_tensor(output["index"])
                for output in interpreter.get_output_details()
            ]

        sha256 = hashlib.sha256(content).hexdigest()
        return NetworkFile(path, sha256, inputs, run, _metadata(content))


def _port(entry: dict[str, Any]) -> Port:
    sides = entry["shape_signature"] if len(entry["shape_signature"]) else entry["shape"]
    shape = tuple(None if side < 0 else int(side) for side in sides)
    return Port(entry["name"], np.dtype(entry["dtype"]).name, shape)


def _is_channels_last(port: Port) -> bool:
    """Whether it takes float images in the runtime's own layout."""
    shape = port.shape or ()
    return port.dtype == "float32" and len(shape) == 4 and shape[3] == 3 and shape[1] != 3


def _as_channels_first(port: Port) -> Port:
    assert port.shape is not None
    batch, height, width, channels = port.shape
    return Port(port.name, port.dtype, (batch, channels, height, width))


def _metadata(content: bytes) -> dict[str, str]:
    """Our entry among the file's metadata; `content` is one that the runtime has checked."""
    model = schema.Model.GetRootAs(content)
    for place in range(model.MetadataLength()):
        entry = model.Metadata(place)
        if entry.Name() == KEY.encode():
            text = model.Buffers(entry.Buffer()).DataAsNumpy()
            return {KEY: bytes(text).decode(errors="replace")}
    return {}
