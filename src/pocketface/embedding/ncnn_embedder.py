"""An ncnn file as an embedder, run on the CPU. Importing this module imports ncnn."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketface.embedding.file_embedder import FileEmbedder
from pocketface.embedding.network_file import NetworkFile, Port
from pocketface.embedding.self_description import KEY
from pocketface.embedding.weights_beside import WEIGHTS_KEY, pair_sha256, weights_beside
from pocketface.errors import MissingExtraError, WeightsError

try:
    import ncnn
except ModuleNotFoundError as error:
    raise MissingExtraError("Running ncnn files (.param)", "ncnn") from error

_HEAD = 2
"""Lines before the layers: a number that marks the format, and how many layers follow."""

_INEXACT = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_storage",
    "use_winograd63_convolution",
)
"""What ncnn does by itself and we do not want: it rounds to 16 bits where the processor can, and
Winograd's F(6x6, 3x3) loses a digit. On white noise MobileNetV1 was 1.8e-4 off with it, as far as
in nothing else, and is 4e-5 off with F(4x4, 3x3), which is as fast.
"""


class NcnnEmbedder(FileEmbedder):
    """`FileEmbedder` for `.param` with its weights in a `.bin` of the same name beside it.

    ncnn takes one image at a time. It computes in float32 wherever it runs.

    Raises as `FileEmbedder`, and WeightsError for two files that are not of one export.
    """

    @staticmethod
    def _open(path: Path, threads: int | None) -> NetworkFile:
        weights = weights_beside(path)
        metadata = _metadata(path)
        # Before ncnn reads: it tells of weights that are too short, but not of others.
        sha256 = pair_sha256(path, metadata)
        network = ncnn.Net()
        for name in _INEXACT:
            setattr(network.opt, name, False)
        network.opt.use_vulkan_compute = False
        if threads is not None:
            network.opt.num_threads = threads
        if network.load_param(str(path)) != 0 or network.load_model(str(weights)) != 0:
            raise WeightsError(
                f"{path} with {weights.name} is not a network that ncnn {ncnn.__version__} can "
                "run. Copy or export it again."
            )
        inputs = [Port(name, "float32", (1, 3, None, None)) for name in network.input_names()]
        outputs = sorted(network.output_names(), key=_in_order)

        def run(images: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
            extractor = network.create_extractor()
            # A copy of its own: layers may compute in the place of what they take.
            extractor.input(inputs[0].name, ncnn.Mat(images[0]).clone())
            return [_extract(extractor, name)[None] for name in outputs]

        return NetworkFile(path, sha256, inputs, run, metadata)


def add_metadata(param: str, metadata: dict[str, str]) -> str:
    """The text of a `.param` with these entries, each of one line, behind its last layer.

    ncnn reads as many layers as the second line says and no farther.
    """
    entries = "".join(f"{key} {text}\n" for key, text in metadata.items())
    return param.rstrip("\n") + "\n" + entries


def _extract(extractor: Any, name: str) -> npt.NDArray[Any]:
    code, output = extractor.extract(name)
    if code != 0:
        raise RuntimeError(f"ncnn gave no output '{name}' (error {code})")
    return np.array(output)


def _in_order(name: str) -> list[Any]:
    """Sorts out2 before out10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _metadata(path: Path) -> dict[str, str]:
    """The entries behind the last layer; none in a file that is not understood."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    counts = lines[1].split() if len(lines) > 1 else []
    if not counts or not counts[0].isdigit():
        return {}
    entries = (line.partition(" ") for line in lines[_HEAD + int(counts[0]) :])
    return {key: text for key, _, text in entries if key in (KEY, WEIGHTS_KEY)}
