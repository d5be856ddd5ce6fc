"""The target 'onnx': a network rewritten exactly, in one file, run by onnxruntime."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pocketface.deploy.options import ExportOptions
from pocketface.embedding.onnx_embedder import OnnxEmbedder
from pocketface.embedding.self_description import SelfDescription
from pocketface.errors import MissingExtraError

try:
    import onnx as _onnx  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError("Exporting networks", "train,export") from error

import pocketface.models  # noqa: F401  # before torch: it says so if torch is missing
from pocketface.deploy.fuse import fuse
from pocketface.deploy.graph import Graph
from pocketface.deploy.pixels import take_pixels
from pocketface.deploy.trace import trace_graph
from pocketface.deploy.write import Writer, write_graph

if TYPE_CHECKING:
    from pocketface.models.backbone import Backbone


def build(
    backbone: "Backbone", description: SelfDescription, options: ExportOptions, path: Path
) -> None:
    """Write `path` (.onnx), with all weights and the description in it.

    Raises ExportError for a network that cannot be written.
    """
    path.write_bytes(build_bytes(backbone, description, options))


def build_bytes(
    backbone: "Backbone",
    description: SelfDescription,
    options: ExportOptions,
    simplify: Callable[[Graph], None] = fuse,
    writer: type[Writer] = Writer,
) -> bytes:
    """The content of the ONNX file; equal arguments give equal bytes.

    `simplify` rewrites the graph, in place, and `writer` writes it, as the runtime likes it that
    will read the file.
    """
    graph = trace_graph(backbone)
    simplify(graph)
    if options.input == "uint8":
        take_pixels(graph, description.card.preprocessing)
    model = write_graph(
        graph,
        backbone.image_size,
        options.opset,
        description.to_metadata(),
        pixels=options.input == "uint8",
        unit=options.output == "unit",
        batch=options.batch,
        writer=writer(graph),
    )
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def open_file(path: Path) -> OnnxEmbedder:
    """The file in onnxruntime, by what it says of itself."""
    return OnnxEmbedder(path)
