"""The target 'litert': a LiteRT file (TensorFlow Lite's format), written from our own graph."""

from pathlib import Path
from typing import TYPE_CHECKING

from pocketface.deploy.options import ExportOptions
from pocketface.embedding.self_description import SelfDescription
from pocketface.errors import MissingExtraError

try:
    import ai_edge_litert as _ai_edge_litert  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError("Exporting to LiteRT", "train,litert") from error

import pocketface.models  # noqa: F401  # before torch: it says so if torch is missing
from pocketface.deploy.fold import fold
from pocketface.deploy.litert_write import write_litert
from pocketface.deploy.pixels import take_pixels
from pocketface.deploy.pool import pick_pools
from pocketface.deploy.trace import trace_graph
from pocketface.embedding.litert_embedder import LiteRtEmbedder

if TYPE_CHECKING:
    from pocketface.models.backbone import Backbone


def build(
    backbone: "Backbone", description: SelfDescription, options: ExportOptions, path: Path
) -> None:
    """Write `path` (.tflite), float32, with all weights and the description in it.

    Raises ExportError for a network that cannot be written.
    """
    path.write_bytes(build_bytes(backbone, description, options))


def build_bytes(
    backbone: "Backbone", description: SelfDescription, options: ExportOptions
) -> bytes:
    """The content of the file; equal arguments give equal bytes.

    PReLUs stay whole: LiteRT keeps its layout across them, and is a quarter slower with them split.
    """
    graph = trace_graph(backbone)
    pick_pools(graph)
    fold(graph)
    if options.input == "uint8":
        take_pixels(graph, description.card.preprocessing)
    return write_litert(
        graph,
        backbone.image_size,
        description.to_metadata(),
        pixels=options.input == "uint8",
        unit=options.output == "unit",
        batch=options.batch,
    )


def open_file(path: Path) -> LiteRtEmbedder:
    """The file in LiteRT, by what it says of itself."""
    return LiteRtEmbedder(path)
