"""The target 'openvino': OpenVINO's own format, from our ONNX, run by OpenVINO."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from pocketface.card import sha256_of
from pocketface.deploy.fold import fold
from pocketface.deploy.graph import Affine, Node
from pocketface.deploy.onnx_export import build_bytes
from pocketface.deploy.options import ExportOptions
from pocketface.deploy.write import Writer
from pocketface.embedding.self_description import KEY, SelfDescription
from pocketface.errors import MissingExtraError

try:
    import openvino
    from openvino.passes import ConstantFolding, Manager
except ModuleNotFoundError as error:
    raise MissingExtraError("Exporting to OpenVINO", "train,export,openvino") from error

from pocketface.embedding.openvino_embedder import OpenVinoEmbedder
from pocketface.embedding.weights_beside import WEIGHTS_KEY

if TYPE_CHECKING:
    from pocketface.models.backbone import Backbone


def build(
    backbone: "Backbone", description: SelfDescription, options: ExportOptions, path: Path
) -> None:
    """Write `path` (.xml) and its weights (.bin), float32, with the description in the `.xml`.

    PReLUs and batch norms stay whole: OpenVINO computes neighbours of them in one pass. Raises
    ExportError for a network that cannot be written.
    """
    content = build_bytes(backbone, description, options, fold, _Writer)
    model = openvino.Core().read_model(io.BytesIO(content))
    # What the reader leaves beside each weight is computed once: the .xml shrinks to a third.
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(model)
    model.set_rt_info(description.to_metadata()[KEY], [KEY])
    # Twice: the .xml names its .bin, which is known after it is written, and does not change.
    openvino.save_model(model, path, compress_to_fp16=False)
    model.set_rt_info(sha256_of(path.with_suffix(".bin")), [WEIGHTS_KEY])
    openvino.save_model(model, path, compress_to_fp16=False)


class _Writer(Writer):
    def _write_affine(self, node: Node, affine: Affine) -> None:
        self._write_norm(node, affine)


def open_file(path: Path) -> OpenVinoEmbedder:
    """The file in OpenVINO, by what it says of itself."""
    return OpenVinoEmbedder(path)
