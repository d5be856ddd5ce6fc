"""The runtimes that a network is measured in, each opened with a number of threads."""

import importlib.metadata
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketface.embedding.file_embedder import FileEmbedder
from pocketface.embedding.load import load_embedder
from pocketface.errors import MissingExtraError, RecipeError

Images = npt.NDArray[np.float32] | npt.NDArray[np.uint8]
Execute = Callable[[], object]
"""Runs the network once on the images that it was opened with."""

TORCH = "torch"
"""The runtime that takes the weights file; the others take the ONNX file."""

_EXTRAS = {"onnxruntime": "", "openvino": "openvino", TORCH: "train"}

RUNTIMES = tuple(_EXTRAS)

RUNTIME_OF = {
    ".xml": "openvino",
    ".param": "ncnn",
    ".tflite": "ai-edge-litert",
    ".pte": "executorch",
}
"""Files that one runtime takes, by their ending, and the package that the runtime comes in."""


def installed_runtimes() -> list[str]:
    """The names of those that are installed, onnxruntime first."""
    return [name for name in RUNTIMES if importlib.util.find_spec(name) is not None]


def check_runtime(name: str) -> None:
    """Raise RecipeError for an unknown name, MissingExtraError for one that is not installed."""
    if name not in RUNTIMES:
        raise RecipeError(f"Unknown runtime {name!r}. Runtimes: {', '.join(RUNTIMES)}.")
    if importlib.util.find_spec(name) is None:
        raise MissingExtraError(f"Measuring in {name}", _EXTRAS[name])


def runtime_version(name: str) -> str:
    """The version of an installed runtime."""
    return importlib.metadata.version(name)


def prepare(name: str, threads: int) -> None:
    """Import the runtime, so that what it takes itself is not counted as the network's."""
    if name == "onnxruntime":
        import onnxruntime  # noqa: F401
    elif name == "openvino":
        import openvino  # noqa: F401
    elif name == "ncnn":
        import pocketface.embedding.ncnn_embedder
    elif name == "ai-edge-litert":
        import pocketface.embedding.litert_embedder
    elif name == "executorch":
        import pocketface.embedding.executorch_embedder
    else:
        import torch

        import pocketface.models.weights  # noqa: F401

        torch.set_num_threads(threads)


def open_network(name: str, file: Path | bytes, images: Images, threads: int) -> Execute:
    """Load the network in `file` (.onnx, of `RUNTIME_OF`, or for torch .safetensors with card).

    `bytes` are the content of an ONNX file. A file of `RUNTIME_OF` is run as `pocketface.embedding`
    runs it.
    """
    if isinstance(file, Path) and file.suffix in RUNTIME_OF:
        embedder = load_embedder(file, threads=threads)
        assert isinstance(embedder, FileEmbedder)
        return lambda: embedder.network.run(images)
    if name == "onnxruntime":
        return _onnxruntime(file, images, threads)
    if name == "openvino":
        return _openvino(file, images, threads)
    assert isinstance(file, Path)
    return _torch(file, images)


def session_options(threads: int) -> Any:
    """How onnxruntime is set up: as it comes, with so many threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Threads that wait for the next run at full speed would slow down whoever has the next turn.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _onnxruntime(file: Path | bytes, images: Images, threads: int) -> Execute:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        file if isinstance(file, bytes) else str(file),
        session_options(threads),
        providers=["CPUExecutionProvider"],
    )
    (entry,) = session.get_inputs()
    return lambda: session.run(None, {entry.name: images})


def _openvino(file: Path | bytes, images: Images, threads: int) -> Execute:
    import openvino

    core = openvino.Core()
    # The batch is fixed, as a device would have it: OpenVINO is slower where it is free.
    model = core.read_model(file if isinstance(file, bytes) else str(file))
    model.reshape(list(images.shape))
    wanted = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # Left to itself it computes in bfloat16 where the processor can.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(model, "CPU", wanted).create_infer_request()
    return lambda: request.infer([images])


def _torch(file: Path, images: Images) -> Execute:
    import torch

    from pocketface.models.weights import load_backbone

    backbone, _ = load_backbone(file)
    inputs = torch.from_numpy(images)

    def execute() -> object:
        with torch.inference_mode():
            return backbone(inputs)

    return execute
