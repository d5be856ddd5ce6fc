"""The target 'ncnn': ncnn's own format, from our ONNX by pnnx, run by ncnn."""

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pocketface.card import sha256_of
from pocketface.deploy import onnx_export as _onnx_export  # noqa: F401 - says if onnx is missing
from pocketface.deploy.fold import fold
from pocketface.deploy.options import ExportOptions
from pocketface.deploy.trace import trace_graph
from pocketface.deploy.write import write_graph
from pocketface.embedding.self_description import SelfDescription
from pocketface.errors import ExportError, MissingExtraError

try:
    import ncnn as _ncnn  # noqa: F401
    import pnnx
except ModuleNotFoundError as error:
    raise MissingExtraError("Exporting to ncnn", "train,export,ncnn") from error

from pocketface.embedding.ncnn_embedder import NcnnEmbedder, add_metadata
from pocketface.embedding.weights_beside import WEIGHTS_KEY

if TYPE_CHECKING:
    from pocketface.models.backbone import Backbone


def build(
    backbone: "Backbone", description: SelfDescription, options: ExportOptions, path: Path
) -> None:
    """Write `path` (.param) and its weights (.bin), float32, with the description in the `.param`.

    PReLUs stay whole: ncnn keeps its layout across them. Raises ExportError for a network that
    cannot be written.
    """
    graph = trace_graph(backbone)
    fold(graph)
    model = write_graph(
        graph, backbone.image_size, options.opset, {}, unit=options.output == "unit", batch=1
    )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "network.onnx"
        source.write_bytes(model.SerializeToString())
        param, weights = _convert(source)
        path.with_suffix(".bin").write_bytes(weights.read_bytes())
        content = param.read_text(encoding="utf-8")
    metadata = {**description.to_metadata(), WEIGHTS_KEY: sha256_of(path.with_suffix(".bin"))}
    path.write_text(add_metadata(content, metadata), encoding="utf-8")


def _convert(source: Path) -> tuple[Path, Path]:
    """Let pnnx write `.param` and `.bin` beside `source`."""
    # Weights stay float32: left to itself pnnx rounds them to 16 bits.
    words = [pnnx.EXEC_PATH, source.name, "fp16=0"]
    done = subprocess.run(words, cwd=source.parent, capture_output=True, text=True, check=False)
    written = source.with_suffix(".ncnn.param"), source.with_suffix(".ncnn.bin")
    if done.returncode != 0 or not all(path.is_file() for path in written):
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["nothing"]
        raise ExportError(
            f"pnnx {pnnx.__version__} could not make an ncnn network: it ended with code "
            f"{done.returncode} and said: {said[0][:300]}. Nothing was written. Try another "
            "version of pnnx."
        )
    return written


def open_file(path: Path) -> NcnnEmbedder:
    """The file in ncnn, by what it says of itself.

    On one thread: on a busy machine ncnn's threads wait for each other far longer than they work.
    """
    return NcnnEmbedder(path, threads=1)
